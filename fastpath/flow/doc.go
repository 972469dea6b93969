// SPDX-License-Identifier: Apache-2.0

// Package flow has the words of the fast path: what a flow is, what is done to its packets, and
// why a packet was left to the kernel. It is pure: the programs of package bypass, which decide about
// packets, and those who decide about flows share it.
package flow
