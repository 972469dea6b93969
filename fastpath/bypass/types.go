// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
)

// The kinds of failure, for errors.Is. The errors returned say what to do.
var (
	// ErrPermission: a capability is missing.
	ErrPermission = errors.New("not permitted to load the fast path's programs")
	// ErrVerifier: the kernel refused a program.
	ErrVerifier = errors.New("fast path program rejected by the kernel")
	// ErrUnsupported: the kernel does not have something that is needed.
	ErrUnsupported = errors.New("the kernel cannot run the fast path's programs")
	// ErrGone: there is no such flow any more.
	ErrGone = errors.New("the flow is gone")
	// ErrNotLiberal: connection tracking still compares sequence numbers with the windows that it has seen,
	// and would not see all.
	ErrNotLiberal = errors.New("the connection's flag be_liberal is not set")
	// ErrFull: there are more devices, tenants or keys than there is room for.
	ErrFull = errors.New("no room for more")
)

// As in c/maps.h.
const (
	// MaxTenants is how many slots there are; slot 0 is nobody's.
	MaxTenants = 256
	// MaxDevices is how many devices can have the programs.
	MaxDevices = 4096
	// MaxWatched is how many keys can be watched at once.
	MaxWatched = 64
	// DefaultFlows is how many flows of each family there can be, unless Options says otherwise.
	DefaultFlows = 131072
)

// Options say which programs to open.
type Options struct {
	// Pin is a directory of bpffs, which is mounted there if it is not.
	Pin string
	// NetNS is where the devices are: the namespace of the calling process if nil. It must stay
	// open as long as the Bypass is.
	NetNS *netns.NS
	// Shared are the tracer's maps, so that what is done to traced echoes is recorded. nil for
	// none.
	Shared map[string]*ebpf.Map
	// Flows is how many flows of each family there can be; 0 is [DefaultFlows]. With another
	// number than before, what was known of flows is lost.
	Flows int
}

// Tenant is what the programs know of a tenant.
type Tenant struct {
	// Slot is its place, from 1 to MaxTenants-1.
	Slot uint16
	// Number is [tenant.NumberOf] its ID.
	Number uint32
	Mode   flow.Mode
	// Capacity is how many flows it may have, of both families and directions together.
	Capacity int
}

// Device is what the programs know of a device, which is a tenant's port, a NIC, or a VXLAN device of the host:
// there, what leaves is learnt, and nothing is sent fast.
type Device struct {
	Index int
	// Name is for messages.
	Name string
	// Port is set if it is a tenant's, which has the slot.
	Port bool
	Slot uint16
	// Tunnel is set if it is a VXLAN device. See also [Bypass.SetTunnels].
	Tunnel bool
	// Master is the index of the bridge of which it is a port, or 0. A packet that was received again
	// elsewhere on its way is not learnt from.
	Master int
	// Blocked is set if others have programs, filters or hooks there that would be passed over:
	// nothing is sent fast from it or to it.
	Blocked bool
	// Peer is set if what goes to the port may be given to its peer's input at once.
	Peer bool
	// PeerNetNS and PeerIndex say what the other end is: inode of its namespace, and index; or 0.
	PeerNetNS uint32
	PeerIndex int
}

// AttachedDevice is a device at which programs are.
type AttachedDevice struct {
	// Device is as it was set. Name is its present one.
	Device
	// Ingress and Egress say which programs it has: both, unless somebody detached one; the second alone if
	// it is a tunnel.
	Ingress, Egress bool
}

// Candidate is a flow that may be approved, both its directions: see [Bypass.Look].
type Candidate struct {
	Forth, Back flow.Key
	// ID and BackID are those of the flows that had the keys.
	ID, BackID uint64
}

// Counts are what became of the packets of a tenant, or of those from NICs that are nobody's: slot 0.
type Counts struct {
	Slot      uint16
	Direction flow.Direction
	// Fast packets were sent by the fast path; Bytes are theirs, from the IP header on.
	Fast, Bytes uint64
	// Same are slow packets that the kernel treated as was foretold, Differ those that it treated
	// in another way although nothing had changed as far as the programs knew. Doubts are those of the latter of
	// which [Bypass.Doubts] tells.
	Same, Differ, Doubts uint64
	// Learnt is how many flows were learnt.
	Learnt uint64
	// Slow are packets by why they were slow, Unlearnt those of them by why nothing was learnt from
	// them; those that are 0 are left out.
	Slow, Unlearnt map[flow.Reason]uint64
}

// WatchCounts are what became of the packets of one key while it was watched.
type WatchCounts struct {
	Fast uint64
	// Slow are by reason; those that are 0 are left out.
	Slow map[flow.Reason]uint64
}
