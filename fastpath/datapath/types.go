// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/internal/netns"
)

// The kinds of failure, for errors.Is. The errors returned say what to do.
var (
	// ErrPermission: a capability is missing.
	ErrPermission = errors.New("not permitted to load the firewall's programs")
	// ErrVerifier: the kernel refused a program.
	ErrVerifier = errors.New("firewall program rejected by the kernel")
	// ErrUnsupported: the kernel was built without something that is needed.
	ErrUnsupported = errors.New("the kernel cannot run the firewall's programs")
	// ErrFull: there are more ports than a tenant can have programs at.
	ErrFull = errors.New("no room for another port")
)

// Options say whose programs to open.
type Options struct {
	// Pin is a directory of bpffs, which is mounted there if it is not.
	Pin string
	// Tenant is the tenant's number.
	Tenant uint32
	// Shared are the tracer's maps, so that what is done to traced echoes is recorded. nil for
	// none.
	Shared map[string]*ebpf.Map
	// NetNS is where the ports are: the namespace of the calling process if nil. It must stay
	// open as long as the Datapath is.
	NetNS *netns.NS
}

// Premises are what the host's settings mean for what TC may do.
type Premises struct {
	// Zones are connection tracking's in which a connection of the tenant may be. nil is zone 0.
	Zones []uint16
	// Marks are those, besides 0, that rules of routing look at. A packet may have any.
	Marks []uint32
	// NoDrop forbids TC to drop.
	NoDrop bool
	// ICMPState is set if some rule, of anybody's, looks at a connection's state.
	ICMPState bool
}

// Table is what decides at one hook for one family.
type Table struct {
	// Diagram is compiled with Stateless for TC ingress.
	Diagram *diagram.Diagram
	// Premises are for TC ingress alone.
	Premises Premises
}

// Generation is all tables of a tenant. A nil table leaves all to the next.
type Generation struct {
	Ingress4, Ingress6, Forward4, Forward6 *Table
}

// Kind says which table.
type Kind uint8

// The kinds, which are indices of the map tables.
const (
	Ingress4 Kind = iota
	Ingress6
	Forward4
	Forward6
	kinds
)

// String returns a word for it.
func (k Kind) String() string {
	return [...]string{"ingress4", "ingress6", "forward4", "forward6"}[k]
}

// TableCounts are what was counted in one table.
type TableCounts struct {
	Kind Kind
	// Generation is that of the table, as [Datapath.Swap] returned it.
	Generation uint32
	// Final is set if the table was replaced: its counts come this once, and never change.
	Final bool
	// Leaves are in the order of the diagram's.
	Leaves []LeafCount
}

// LeafCount is how many packets came to a leaf and were judged by it, and their bytes from the
// IP header on, as iptables counts.
type LeafCount struct{ Packets, Bytes uint64 }

// PortCounts are what a port's program did.
type PortCounts struct {
	// Index is that of the port's device.
	Index int
	// Attached is "tcx", "clsact" or "".
	Attached string
	// Packets are all, of which those that are not IP are neither passed, dropped nor deferred.
	Packets, Passed, Dropped uint64
	// Deferred are by reason; those that are 0 are left out.
	Deferred map[Reason]uint64
	// Nanoseconds is the mean time of the program, of one packet in 64; 0 if none was measured.
	Nanoseconds float64
}

// AttachedPort is a port at which the program is.
type AttachedPort struct {
	Index int
	// How is "tcx" or "clsact".
	How string
}

// Names of the programs for [Datapath.Path].
const (
	FromTagged = "from_tagged"
	FromPass   = "from_pass"
	FromDrop   = "from_drop"
	ToPass     = "to_pass"
	ToDrop     = "to_drop"
)
