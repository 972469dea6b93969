// SPDX-License-Identifier: Apache-2.0

// Package trace is what the correlator makes of a ping and the exporters send:
// a tree of spans, each the time that the packet dwelt somewhere.
//
// It knows neither OTLP nor the kernel. A trace is built once and not changed
// afterwards, except for [Trace.Rebase], which moves it from the kernel's
// monotonic clock to wall-clock time.
//
// # The tree
//
// Trace.Spans holds the tree in depth-first order, as [Trace.Add] builds it:
//
//   - The root comes first. It alone has no parent and the depth 0.
//   - A parent comes before its children, and a child's depth is its parent's plus one.
//   - Everything below a span follows it without a gap, up to [Trace.After]. Its children
//     are therefore next to each other only if they have no children themselves.
//   - The root's children are the request's journey, the span between the journeys, the
//     reply's journey, each of which may be missing, and then further journeys. Journeys
//     are nowhere else.
//   - The children of every other span are in order of time and tile it: the first begins
//     with it, each other one where the one before ends, and the last ends with it.
//   - Every span within a journey has the journey's direction; the other spans have none.
//   - A span has children or is a leaf, except for a journey of which a single event was
//     seen: that is neither.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
)

// ID is a W3C trace ID.
type ID [16]byte

// String returns 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Randomness returns the last 56 bits, which are random by W3C Trace Context level 2: consistent
// probability sampling compares them with a threshold.
func (id ID) Randomness() uint64 { return binary.BigEndian.Uint64(id[8:]) & (1<<56 - 1) }

// SpanID is a W3C span ID. The zero value means "no span".
type SpanID [8]byte

// String returns 16 lower-case hexadecimal digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// NetNS is a network namespace. Each is an OpenTelemetry service.
type NetNS struct {
	// Inode is the number that identifies the namespace on this host.
	Inode uint32
	// Name is that of the pod or container that the namespace belongs to, else the name in
	// /run/netns, else "netns-<inode>".
	Name string
	// Hypervisor is set for the namespace that is the hypervisor.
	Hypervisor bool
	// Container is what the namespace belongs to, nil if to no container. One of a pod's
	// containers stands for the pod.
	Container *Container
	// Tenant is the ID of the tenant that the namespace belongs to, or "".
	Tenant string
	// Shared is set for a namespace that every tenant may see, apart from the devices in it
	// that belong to another one: a hypervisor, or one that is configured to be shared. It is
	// not set for a namespace that belongs to a tenant.
	Shared bool
}

// Device is a network device in a namespace.
type Device struct {
	NetNS *NetNS
	Index uint32
	Name  string
	// Bridge is the name of the bridge that the device is a port of, or its own if it is a
	// bridge, or "".
	Bridge string
	// Type is the kernel's name of the type of virtual device ("veth", "vxlan", "macvlan",
	// "tun"), or "" for a physical device or if it is not known.
	Type string
	// Lower is the device that this one is stacked on (macvlan, ipvlan, VLAN), or the other
	// end of a pair; zero if there is none or if it is not known.
	Lower Place
	// Tenant is the ID of the tenant that the device belongs to, or "". It is that of the
	// namespace if that has one.
	Tenant string
	// Unattributed is set while it is not known whether the device belongs to a tenant.
	Unattributed bool
}

// Place says which device, in which namespace. The zero value means none.
type Place struct {
	// NetNS is the inode number of the namespace.
	NetNS uint32
	// Index is the device's index there.
	Index uint32
}

// Place returns where the device is.
func (d *Device) Place() Place { return Place{NetNS: d.NetNS.Inode, Index: d.Index} }

// Ping says which echo the trace is about, as its sender sees it.
type Ping struct {
	Src, Dst netip.Addr
	// ID and Seq are the echo's identifier and sequence number.
	ID, Seq uint16
	// PayloadLen is in bytes, without the ICMP header, or -1 if only fragments were seen.
	PayloadLen int
}

// String returns "ping 192.0.2.1 -> 198.51.100.1 seq 7".
func (p Ping) String() string {
	b := append(make([]byte, 0, 64), "ping "...)
	b = appendAddr(b, p.Src)
	b = append(b, " -> "...)
	b = appendAddr(b, p.Dst)
	b = append(b, " seq "...)
	return string(strconv.AppendUint(b, uint64(p.Seq), 10))
}

// appendAddr appends a, or "?" if it is not known.
func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(b, '?')
	}
	return a.AppendTo(b)
}

// Outcome says how a ping ended.
type Outcome uint8

// The outcomes. Each trace has exactly one.
const (
	// Complete: the reply came back to where the request came from.
	Complete Outcome = 1 + iota
	// Dropped: the request or the reply died on this host.
	Dropped
	// Incomplete: none of the others was seen; Trace.Cause says why.
	Incomplete
	// Expired: the request's time to live ran out, and the host where it did said so.
	Expired
	// Unreachable: an ICMP error other than Expired came back, and the packet is not known to
	// have died on this host.
	Unreachable
	// Partial: the ping was seen as far as the scope of tracing goes, which leaves out
	// interfaces.
	Partial

	outcomeEnd // one more than the last outcome
)

var outcomeNames = [outcomeEnd]string{
	Complete: "complete", Dropped: "dropped", Incomplete: "incomplete",
	Expired: "expired", Unreachable: "unreachable", Partial: "partial",
}

// Outcomes returns all outcomes, in the order of their constants.
func Outcomes() []Outcome {
	all := make([]Outcome, 0, outcomeEnd-1)
	for o := Complete; o < outcomeEnd; o++ {
		all = append(all, o)
	}
	return all
}

// String returns the outcome's name as used in attributes and summaries.
func (o Outcome) String() string {
	if o < outcomeEnd && outcomeNames[o] != "" {
		return outcomeNames[o]
	}
	return "unknown"
}

// Cause says why a trace is incomplete. It is the value of dwell.incomplete.
type Cause string

// The causes, the most telling first: a trace to which several apply carries the
// first of them.
const (
	// CauseEventsLost: the ring buffer overflowed while the trace was open.
	CauseEventsLost Cause = "events_lost"
	// CauseEvicted: too many pings were open at once and this one was the oldest.
	CauseEvicted Cause = "evicted"
	// CauseAgentStarted: the packet was already on its way when tracing began.
	CauseAgentStarted Cause = "agent_started"
	// CauseAgentStopped: tracing ended while the packet was on its way.
	CauseAgentStopped Cause = "agent_stopped"
	// CauseNoRequest: a reply was seen and no request.
	CauseNoRequest Cause = "no_request"
	// CauseNoReply: a request was seen and no reply within the timeout.
	CauseNoReply Cause = "no_reply"
	// CauseNotDelivered: a reply was seen on its way and did not arrive.
	CauseNotDelivered Cause = "not_delivered"
	// CauseUnseen: the packet was, between two events, where no hook sees it.
	CauseUnseen Cause = "unseen"
)

// Trace is one ping.
type Trace struct {
	ID   ID
	Ping Ping
	// Local is set when the payload did not distinguish this echo from others, so that
	// the IDs are only valid on this host.
	Local bool
	// Sent is set if the ping was sent from this host, and not if it only passed through or
	// its request was not seen.
	Sent    bool
	Outcome Outcome
	// Cause is set if Outcome is Incomplete.
	Cause Cause
	// Remote is the ID of the root's parent: the root of the same trace on the host that
	// sent the ping. Zero if that is this host, or is not to be shown.
	Remote SpanID
	// RemoteTurn is the ID of the span that has, on the host that sent the ping, the time between
	// request and reply. Zero unless Remote is set and the reply has left this host, so that
	// there probably is one.
	RemoteTurn SpanID
	// ReplySpan is the index of the span of the first reply's journey, or 0 if there was no
	// reply. See RTT.
	ReplySpan int
	// DropReason is the kernel's name of the reason if Outcome is Dropped.
	DropReason string
	// Threshold is the rejection threshold of 56 bits by which the ping was chosen before it was
	// recorded: it stands for as many pings as consistent probability sampling says. 0: for itself.
	Threshold uint64
	// Random is the ping's randomness if Local is set: that of the ID is not known elsewhere, nor
	// where the ping was chosen. See Randomness.
	Random uint64
	// State is the W3C tracestate of every span, or "". The correlator leaves it empty;
	// sampling says there with what probability the trace was kept.
	State string
	// Duplicates counts the replies delivered after the first.
	Duplicates int
	// Spans is the tree in depth-first order; see the package's documentation for what
	// holds of it.
	Spans []Span
}

// Root returns the span of the whole ping.
func (t *Trace) Root() *Span { return &t.Spans[0] }

// Randomness returns the 56 bits that are compared with a threshold: those of the ID, or else what
// all hosts know of the ping.
func (t *Trace) Randomness() uint64 {
	if t.Local {
		return t.Random
	}
	return t.ID.Randomness()
}

// RTT returns how long it took in nanoseconds from the first event of the ping to the end of
// the first reply's journey, and false if there was no reply. The root may be longer: it
// ends with the last reply.
func (t *Trace) RTT() (int64, bool) {
	if t.ReplySpan == 0 {
		return 0, false
	}
	return t.Spans[t.ReplySpan].End - t.Root().Start, true
}

// Rebase adds offset nanoseconds to every time in the trace, and so moves it from
// the monotonic clock to the wall clock.
func (t *Trace) Rebase(offset int64) {
	for i := range t.Spans {
		s := &t.Spans[i]
		s.Start += offset
		s.End += offset
		for j := range s.Events {
			s.Events[j].Time += offset
		}
	}
}

// Span is an interval of time that one component accounts for.
type Span struct {
	ID SpanID
	// Parent is the index in Trace.Spans of the span around this one, or NoParent.
	Parent int
	// Depth is the number of spans around this one.
	Depth     uint8
	Direction Direction
	Kind      Kind
	// Leaf is set if the span has no children. The leaves of a journey tile it.
	Leaf bool
	// Inner is set if the span is part of a device or hypervisor span.
	Inner bool
	// Unfinished is set in an incomplete trace if the packet was last seen in this span:
	// End is when that was, and how long the packet stayed is not known. It is only set
	// within a journey, and not if there the packet left the host, was taken or died.
	Unfinished bool
	// Start and End are in nanoseconds, of the monotonic clock until Rebase and
	// since the Unix epoch afterwards.
	Start, End int64
	// NetNS is the namespace in which the time was spent.
	NetNS *NetNS
	// Device is where the span begins, Peer where it ends, if that is another
	// device. Both are nil for a span that is about no device.
	Device, Peer *Device
	// Packet is shared with other spans and traces: it is not to be changed. It is nil if
	// nothing is known of the packet.
	Packet *Packet
	Events []Event
	// Error is the value of error.type, or "".
	Error string
	// Title is the name if Kind and devices do not give it: that of a duplicate reply, and
	// of a device that is a whole namespace. A root has none: backends count and index by
	// the names of roots, and one with addresses and sequence number is as good as none.
	Title string
}

// Duration returns the dwell in nanoseconds.
func (s *Span) Duration() int64 { return s.End - s.Start }

// Name returns the span's name: its kind and the devices it is about.
func (s *Span) Name() string {
	switch {
	case s.Title != "":
		return s.Title
	case s.Kind == KindTransmit && s.Inner && s.Device != nil:
		return "queue " + s.Device.Name
	case s.Kind == KindHypervisor, s.Kind == KindForward, s.Kind == KindDeliver, s.Kind == KindRespond,
		s.Kind.Finer(), s.Device == nil:
		return s.Kind.String() // the namespace, which is the service, says whose
	case s.Kind == KindBridge && s.Bridge() != "":
		return "bridge " + s.Bridge()
	case s.Kind == KindDevice && s.Bridge() != "":
		return "device " + s.Bridge()
	case s.Peer != nil:
		return s.Kind.String() + " " + s.Device.Name + " -> " + s.Peer.Name
	}
	return s.Kind.String() + " " + s.Device.Name
}

// Bridge returns the name of the bridge that the span is about, or "".
func (s *Span) Bridge() string {
	if s.Device != nil && s.Device.Bridge != "" {
		return s.Device.Bridge
	}
	if s.Peer != nil {
		return s.Peer.Bridge
	}
	return ""
}

// Event is something that happened to the packet within a span.
type Event struct {
	// Time is on the same clock as the span's.
	Time  int64
	Name  string
	Attrs []Attr
	// Device is the one that the event names, nil if it names none.
	Device *Device
	// From is the one from which the packet was sent to Device, nil if the event does not name
	// it.
	From *Device
}

// String is for messages of failed tests.
func (s *Span) String() string {
	return fmt.Sprintf("%s %s [%d, %d)", s.ID, s.Name(), s.Start, s.End)
}
