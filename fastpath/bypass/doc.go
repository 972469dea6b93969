// SPDX-License-Identifier: Apache-2.0

// Package bypass is the fast path's programs in the kernel, at the TC ingress and egress of tenants'
// ports and of the hypervisor's NICs, and what user space tells them and reads from them.
//
// The programs learn from what the kernel does to packets, and send later packets of the same flow
// at once, in the same way. They decide about each packet alone; user space decides which flows may
// be sent so at all, and says when something changed. If it is not there for 3 seconds, or not
// certain of something, all packets are the kernel's.
//
// Programs, maps and links are pinned in a directory of bpffs, which has the version of their layout
// in its name. They stay when the agent ends; the next one adopts them.
//
// Linux 6.6 is needed, because of TCX.
package bypass
