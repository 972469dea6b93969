// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"context"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Bypass is the fast path's programs and maps. Its methods may be called from several goroutines.
// Only one process at a time may have them open.
type Bypass struct{}

// Supported returns nil, or an ErrUnsupported that says what the kernel does not have.
func Supported() error { return ErrUnsupported }

// Open adopts what is pinned, or makes it anew. Nothing is attached before the first
// [Bypass.SetDevices], and nothing is sent fast before the first [Bypass.Beat].
//
// Errors are ErrPermission, ErrVerifier or ErrUnsupported where one of them is the cause.
func Open(Options) (*Bypass, error) { return nil, ErrUnsupported }

// Close forgets the programs, which stay in force until nobody has attended to them for 3 seconds.
func (b *Bypass) Close() error { return ErrUnsupported }

// Remove detaches and unpins everything that is pinned below pin, of any version. It leaves
// nothing, and it is no error if there is nothing.
func Remove(_ string, _ *netns.NS) error { return ErrUnsupported }

// Repin pins again what somebody has removed or unmounted, and reports whether there was any.
func (b *Bypass) Repin() (repaired bool, err error) { return false, ErrUnsupported }

// SetTenants says which tenants there are. Those that are not listed are off.
func (b *Bypass) SetTenants([]Tenant) error { return ErrUnsupported }

// SetDevices says which devices have the programs. What is not listed loses them, after what is
// new has them.
func (b *Bypass) SetDevices([]Device) error { return ErrUnsupported }

// Attached returns the devices that have the programs, in order of index.
func (b *Bypass) Attached() ([]AttachedDevice, error) { return nil, ErrUnsupported }

// Beat says that user space is there, for the next 3 seconds.
func (b *Bypass) Beat() error { return ErrUnsupported }

// Rest says that user space is not there any more: from now on all packets are the kernel's.
func (b *Bypass) Rest() error { return ErrUnsupported }

// Hold stops all fast sending at once, or allows it again.
func (b *Bypass) Hold(_ bool) {}

// Changed says that something changed that concerns the tenants of these slots, or all if there is
// none or one is 0: each flow is believed again when the kernel has treated one more of its packets as
// before.
func (b *Bypass) Changed(_ ...uint16) {}

// SetLease says how long a flow is believed at most before the kernel has to see a packet of it
// again. The kernel's timeout of the connection may make it shorter.
func (b *Bypass) SetLease(time.Duration) error { return ErrUnsupported }

// SetAgreed says how many packets must be alike, in each direction, before one is sent fast.
func (b *Bypass) SetAgreed(_ int) error { return ErrUnsupported }

// SetTunnels says which UDP port is VXLAN's; 0 for none.
func (b *Bypass) SetTunnels(_ uint16) error { return ErrUnsupported }

// NewApproval makes all flows be asked for again, each by its next slow packet, and returns the
// number of approvals that count from now on.
func (b *Bypass) NewApproval() uint32 { return 0 }

// Candidates passes flows that may be approved, until ctx ends. Those that are gone meanwhile are
// left out, and counted: see [Bypass.Gone].
func (b *Bypass) Candidates(_ context.Context, _ func(Candidate)) error { return ErrUnsupported }

// Gone returns how many candidates were gone when they were looked up. They are asked for again if
// they come back.
func (b *Bypass) Gone() uint64 { return 0 }

// Unasked returns how many candidates found no room in the ring. They are asked for again.
func (b *Bypass) Unasked() (uint64, error) { return 0, ErrUnsupported }

// Approve allows both directions of a flow to be sent fast as long as the number of approvals is
// this one. ErrGone if one of them is not there any more.
func (b *Bypass) Approve(_, _ *flow.Flow, _ uint32) error { return ErrUnsupported }

// Refuse forbids both directions of a flow to be sent fast. The detail is for those who read flows.
func (b *Bypass) Refuse(_, _ *flow.Flow, _ flow.Reason, _ uint32) error {
	return ErrUnsupported
}

// Get returns a flow, or ErrGone.
func (b *Bypass) Get(flow.Key) (*flow.Flow, error) { return nil, ErrUnsupported }

// Flows passes all flows until the function returns false. The Flow is the function's only during the call.
func (b *Bypass) Flows(func(*flow.Flow) bool) error { return ErrUnsupported }

// End marks a flow as ended: its next packet is the kernel's, at once. ErrGone if the flow with that ID is not
// there any more.
func (b *Bypass) End(_ flow.Key, _ uint64, _ flow.Reason) error { return ErrUnsupported }

// Sweep removes flows that have ended or been idle for so long, and returns how many.
func (b *Bypass) Sweep(_ context.Context, _ time.Duration) (n int, err error) {
	return 0, ErrUnsupported
}

// Flush removes all flows of a tenant's slot, or of all if it is 0, and returns how many.
func (b *Bypass) Flush(_ uint16) (int, error) { return 0, ErrUnsupported }

// Counts returns what became of packets, by slot and direction; slots without any are left out.
func (b *Bypass) Counts() ([]Counts, error) { return nil, ErrUnsupported }

// Usage returns how many flows each tenant has by slot; slots without any are left out.
func (b *Bypass) Usage() (map[uint16]int, error) { return nil, ErrUnsupported }

// Watch counts what becomes of the packets of these keys, until it is closed.
func (b *Bypass) Watch(_ []flow.Key) (*Watch, error) { return nil, ErrUnsupported }

// Watch counts what becomes of the packets of some keys.
type Watch struct{}

// Read returns what became of their packets so far.
func (w *Watch) Read() (map[flow.Key]WatchCounts, error) { return nil, ErrUnsupported }

// Close ends the counting.
func (w *Watch) Close() error { return ErrUnsupported }

// SetTracing changes where what is done to traced echoes is recorded: see [Options].
func (b *Bypass) SetTracing(_ map[string]*ebpf.Map) error { return ErrUnsupported }
