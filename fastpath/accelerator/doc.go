// SPDX-License-Identifier: Apache-2.0

// Package accelerator runs the fast path: it decides which tenants have one, which flows may take
// it, and for how long anybody may believe what was learnt.
//
// The programs of package bypass learn what the kernel does to a flow's packets, and do the same
// in its place. They cannot know whether that is still right after something on the host has changed, nor
// whether the rules look at each packet by itself. A [Manager] does: it is told of changes, stops everything
// that may be concerned before it looks at what has changed, and answers for each flow whether
// it may be sent fast. If it is not there, or does not know, packets go through the kernel as ever.
package accelerator
