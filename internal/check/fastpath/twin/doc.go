// SPDX-License-Identifier: Apache-2.0

// Package twin asks the kernel whether the fast path sends the same frames as the kernel.
//
// Two hypervisors are alike to the last address, each in namespaces of its own. In the one the kernel
// alone forwards; in the other there is the fast path. Both get the same frames in the same order, from
// guests, from outside, and between guests; what comes out of each device must be equal, byte by byte,
// and so must be what the device is told of it: segments to be cut, checksums to be filled in. Nothing
// of what the kernel should do is written down here: the kernel says it. Only what the kernel draws at
// random is left out: the identification of IP packets that it makes itself.
//
// A comparison in which no packet took the fast path says nothing, so those that did are counted.
package twin
