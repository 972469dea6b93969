// SPDX-License-Identifier: Apache-2.0

// Package changes tells, within milliseconds of the kernel's announcement, that something has
// changed that may concern flows of the fast path.
//
// It claims too much rather than too little: a message that it does not understand, or that was
// lost, is a change of everything. What it leaves out it leaves out because it knows what was
// there before: that an entry of a neighbour grows old, or that a new one contradicts nothing, changes the
// way of no packet. Otherwise one tenant that asks for many addresses would slow down all.
package changes

import "strings"

// Kind is a set of what a change may concern.
type Kind uint8

// What a change may concern.
const (
	// All: every flow.
	All Kind = 1 << iota
	// Some: only flows that pass one of [Change.Devices].
	Some
	// Rules: sets of rules, routing's rules or settings have to be read again. It comes with All.
	Rules
	// Devices: devices, their queues and filters have to be read again. It comes with All or Some, or
	// alone if no flow is concerned yet, such as of a new device.
	Devices
)

// Has reports whether all of the other set are in k.
func (k Kind) Has(other Kind) bool { return k&other == other }

// String returns the words for them, such as "all+rules".
func (k Kind) String() string {
	var words []string
	for i, word := range []string{"all", "some", "rules", "devices"} {
		if k.Has(1 << i) {
			words = append(words, word)
		}
	}
	return strings.Join(words, "+")
}

// Everything is what may concern anything.
const Everything = All | Rules | Devices

// Change is one announcement of the kernel, or several that came together.
type Change struct {
	// Kind is 0 if nothing changed: a sign of life.
	Kind Kind
	// Devices are the indices of those that [Some] is about, in order: of an entry of a bridge's
	// table the port behind which it was and the one behind which it is, of a neighbour the device by
	// which it is reached. If that is a bridge, flows over all of its ports may be concerned, if it is
	// a device of no tenant, all flows may be, unless it is connected with no port and no NIC.
	Devices []int
	// What says what changed, for people, without a full stop.
	What string
}
