// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"time"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Query says about whom something is asked.
type Query struct {
	// Tenant is the tenant's ID. "" means all of them, for the operator alone.
	Tenant string `json:"tenant"`
	// Operator is set if it is the operator who asks. A tenant is told nothing about others.
	Operator bool `json:"-"`
}

// Status says how the fast path is.
type Status struct {
	// Supported is set if this kernel can have a fast path; otherwise Unsupported says, in a
	// sentence, what it lacks, and everything takes the kernel's path.
	Supported   bool   `json:"supported"`
	Unsupported string `json:"unsupported,omitempty"`
	// Attended is set if packets may be sent fast: the agent is told of changes, and says so
	// to the programs several times a second. Beat is how long ago it did last.
	Attended bool          `json:"attended"`
	Beat     time.Duration `json:"beat_ns"`
	// Held is set while nothing is sent fast, because something has changed and it is not
	// known yet what that means. HeldFor is since when, HeldBecause what it was.
	Held        bool          `json:"held"`
	HeldFor     time.Duration `json:"held_for_ns,omitempty"`
	HeldBecause string        `json:"held_because,omitempty"`
	// Tenants are in order of ID.
	Tenants []TenantStatus `json:"tenants"`
	// Devices are where programs are, or should be.
	Devices []DeviceStatus `json:"devices"`
	// Problems are sentences on what is not as it should be and concerns all tenants.
	Problems []string `json:"problems,omitempty"`
}

// TenantStatus is that of one tenant.
type TenantStatus struct {
	Tenant string    `json:"tenant"`
	Mode   flow.Mode `json:"mode"`
	// Slot is the tenant's number in the programs' tables, or 0 if it has none.
	Slot uint16 `json:"slot"`
	// Flows is how many entries the tenant has, one for each direction, and Capacity how many it
	// may have.
	Flows    int `json:"flows"`
	Capacity int `json:"capacity"`
	// From are counts of packets that come from the tenant, To of those that go to it.
	From Counts `json:"from"`
	To   Counts `json:"to"`
	// Approved and Refused are decisions about flows, the latter by reason. Waiting are those
	// that are not decided yet, and Dropped those that were put off because too many waited.
	Approved uint64            `json:"approved"`
	Refused  map[string]uint64 `json:"refused,omitempty"`
	Waiting  int               `json:"waiting"`
	Dropped  uint64            `json:"put_off"`
	// Blocked says in sentences why none of the tenant's packets are sent fast now, though
	// its mode asks for it.
	Blocked []string `json:"blocked,omitempty"`
	// Problems are sentences on what is not as it should be.
	Problems []string `json:"problems,omitempty"`
}

// Counts are of packets of one tenant in one direction. They never decrease while the manager
// lives.
type Counts struct {
	// Fast and Bytes are of packets that were sent fast.
	Fast  uint64 `json:"fast"`
	Bytes uint64 `json:"bytes"`
	// Same are packets that the kernel treated as was foretold; Differ those that it treated in
	// another way although nothing had changed, which must not be. It takes some seconds to know that: a change is in
	// force before the kernel announces it. Those that a change explains are Unlearnt.
	Same   uint64 `json:"same"`
	Differ uint64 `json:"differ"`
	// Learnt is how many entries were made.
	Learnt uint64 `json:"learnt"`
	// Slow are packets that the kernel forwarded, by [flow.Reason].
	Slow map[string]uint64 `json:"slow"`
	// Unlearnt are those of which nothing was learnt, by [flow.Reason].
	Unlearnt map[string]uint64 `json:"unlearnt,omitempty"`
}

// DeviceStatus is that of a tenant's port, or of a NIC of the hypervisor.
type DeviceStatus struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	// Tenant is whose port it is, "" for a NIC.
	Tenant string `json:"tenant,omitempty"`
	// Attached is set if the programs are there.
	Attached bool `json:"attached"`
	// Blocked says, in a sentence, what of others' would be passed over here, so that nothing is
	// sent fast through the device; "" if nothing would.
	Blocked string `json:"blocked,omitempty"`
	// Peer is set if packets are given to the guest's end of the link at once.
	Peer bool `json:"peer,omitempty"`
}

// The values of [FlowListing.State] and [DirectionListing.State].
const (
	// StateFast: its next packet is sent fast.
	StateFast = "fast"
	// StateLearning: what the kernel does to it has not been seen often enough, or has not been
	// approved yet.
	StateLearning = "learning"
	// StateRenewing: its next packet takes the kernel's path, and shows whether what was learnt is
	// still right.
	StateRenewing = "renewing"
	// StateShadow: it would be sent fast if the tenant's mode were not shadow.
	StateShadow = "shadow"
	// StateRefused: it is never sent fast, for the reason that stands there.
	StateRefused = "refused"
	// StateEnded: it is not used any more, and is removed soon.
	StateEnded = "ended"
	// StateStopped: nothing of the tenant's, or by this device, is sent fast now.
	StateStopped = "stopped"
)

// FlowList are a tenant's flows.
type FlowList struct {
	Flows []FlowListing `json:"flows"`
	// Left is how many more there are than were asked for.
	Left int `json:"left,omitempty"`
}

// FlowListing is a flow.
type FlowListing struct {
	// Tenant is whose port it was first seen at.
	Tenant string `json:"tenant"`
	// State is that of the direction that is worse off.
	State string `json:"state"`
	// Forth is from the tenant, Back what answers it; nil if nothing is known.
	Forth *DirectionListing `json:"forth,omitempty"`
	Back  *DirectionListing `json:"back,omitempty"`
}

// DirectionListing is one direction of a flow.
type DirectionListing struct {
	// Packet is what it is like when it arrives, as `dwell firewall explain` takes it. An
	// echo's identifier is ID.
	Packet string `json:"packet"`
	ID     uint16 `json:"id,omitempty"`
	// In and Out are the devices by which it comes and goes: "beyond" if that is another
	// tenant's port. VNI is that of the tunnel in which it arrives, or 0.
	In  string `json:"in"`
	Out string `json:"out"`
	VNI uint32 `json:"vni,omitempty"`
	// After is what it is like when it leaves, "" if only the TTL and the Ethernet addresses are
	// others.
	After string `json:"after,omitempty"`
	// Routed is set if its TTL becomes less. NextHop is the router or the guest whose Ethernet
	// address it gets; "" if Dst and Src are known already.
	Routed  bool   `json:"routed"`
	NextHop string `json:"next_hop,omitempty"`
	Dst     string `json:"dst,omitempty"`
	Src     string `json:"src,omitempty"`
	// State is one of the words above; Reason is the [flow.Reason] for it, "fast" if it is fast,
	// and Detail a sentence that says more, or "".
	State  string `json:"state"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
	// Last is why the last packet that the kernel forwarded was not sent fast.
	Last string `json:"last"`
	// Lease is how long it is still believed, Idle since when there was no packet.
	Lease time.Duration `json:"lease_ns"`
	Idle  time.Duration `json:"idle_ns"`
	// Agreed is how many packets the kernel treated as was foretold, and Longest the length of
	// the longest of them in this lease, in bytes from the IP header on.
	Agreed  uint32 `json:"agreed"`
	Longest uint32 `json:"longest"`
	// Fast, Bytes and Slow are packets, and the bytes of the fast ones.
	Fast  uint64 `json:"fast"`
	Bytes uint64 `json:"bytes"`
	Slow  uint64 `json:"slow"`
}

// WhyQuery asks why packets of a flow are slow.
type WhyQuery struct {
	Query
	// Packet is one of the flow, in either direction and as any device sees it, written as
	// `dwell firewall explain` takes it. A source port that is not said is any.
	Packet string `json:"packet"`
	// Watch is for how long packets of the flow are counted; 0: they are not. It ends
	// earlier if enough was seen.
	Watch time.Duration `json:"watch_ns,omitempty"`
}

// Why says why packets of a flow are slow now.
type Why struct {
	// Packet is what was asked for, in full.
	Packet string `json:"packet"`
	// Fast is set if the flow's next packet is sent fast in both directions, whatever
	// the packet is like. Then there is no reason.
	Fast bool `json:"fast"`
	// Reasons are those why it is not, the one that decides first.
	Reasons []WhyReason `json:"reasons"`
	// Flows are those that fit. Left is how many more there are.
	Flows []FlowListing `json:"flows"`
	Left  int           `json:"left,omitempty"`
	// Observed are packets that were counted while Watched went by.
	Observed []Observation `json:"observed,omitempty"`
	Watched  time.Duration `json:"watched_ns,omitempty"`
}

// WhyReason is one reason.
type WhyReason struct {
	// Reason is the word of a [flow.Reason].
	Reason string `json:"reason"`
	// Level is what it holds for: "host", "tenant", "device", "packet" or "flow".
	Level string `json:"level"`
	// Direction is "from" or "to" the tenant, or "" for both.
	Direction string `json:"direction,omitempty"`
	// Text is a sentence, or a few.
	Text string `json:"text"`
}

// Observation is how many packets of a direction were seen.
type Observation struct {
	// Packet and In are those of [DirectionListing].
	Packet string `json:"packet"`
	In     string `json:"in"`
	// Reason is the word of a [flow.Reason]; "fast" for those that were sent fast. Text is its
	// sentence.
	Reason  string `json:"reason"`
	Text    string `json:"text"`
	Packets uint64 `json:"packets"`
}
