// SPDX-License-Identifier: Apache-2.0

// Package wire has the far ends of wires that lead into a hypervisor under test: what a test sends
// there arrives at the hypervisor, and what the hypervisor sends can be read, with all that a device
// is told of a frame besides its bytes: that it is to be cut into segments, or that its checksum is
// still to be filled in.
package wire
