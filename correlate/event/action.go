// SPDX-License-Identifier: Apache-2.0

package event

// Deed says what was done to a packet.
type Deed uint16

// The deeds. The numbers are the wire values that the BPF programs write.
const (
	NoDeed Deed = iota
	// Firewall: a tenant's firewall gave a verdict.
	Firewall
	// Redirect: the fast path sent the packet to another device.
	Redirect
	// Fallback: the fast path left the packet to the kernel.
	Fallback
	// Learn: the fast path learnt from the packet how to treat the next ones.
	Learn

	deedEnd // one more than the last deed
)

// Known reports whether d is one of the constants, other than NoDeed.
func (d Deed) Known() bool { return d > NoDeed && d < deedEnd }

var deedNames = [deedEnd]string{
	NoDeed: "none", Firewall: "firewall", Redirect: "redirect", Fallback: "fallback", Learn: "learn",
}

// String returns the name that listings have for the deed.
func (d Deed) String() string {
	if d < deedEnd {
		return deedNames[d]
	}
	return unknown
}

// ActionPlace says where in the kernel something was done.
type ActionPlace uint16

// The places. The numbers are the wire values that the BPF programs write.
const (
	// NoPlace: the deed itself says where.
	NoPlace ActionPlace = iota
	// AtTC is where packets arrive on a port, or leave by one.
	AtTC
	// AtForward is a program that iptables calls in FORWARD.
	AtForward
	// AtIPTables is a rule of iptables.
	AtIPTables

	placeEnd // one more than the last place
)

var placeNames = [placeEnd]string{NoPlace: "none", AtTC: "tc", AtForward: "forward", AtIPTables: "iptables"}

// String returns the name that listings and traces have for the place.
func (p ActionPlace) String() string {
	if p < placeEnd {
		return placeNames[p]
	}
	return unknown
}

// Action is what a program did to a packet at a hook that does not only look.
type Action struct {
	Deed Deed
	// Verdict is what was decided, and Reason why; what the numbers mean depends on Deed.
	Verdict, Reason uint16
	// Tenant is the number of the tenant in whose name it was done, or 0.
	Tenant uint32
	// Rule is the number of the rule that decided, counted from 1, or 0.
	Rule uint32
	// To is the index of the device in the same namespace that the packet was sent to, or 0.
	To uint32
	// Place is where it was done.
	Place ActionPlace
	// Nanoseconds is how long the program took, or 0 if that was not measured.
	Nanoseconds uint32
}
