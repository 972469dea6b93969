// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Resolver gives names to the numbers in events. Its answers are kept in traces
// and must not change afterwards; it must answer at once, for numbers that it has
// never seen, too.
type Resolver interface {
	NetNS(inode uint32) *trace.NetNS
	Device(netns, ifindex uint32) *trace.Device
	// DropReason names a value of enum skb_drop_reason, without its prefix.
	DropReason(code uint32) string
}

// Rules names what the firewalls of tenants have said of packets. It must answer at once, for
// numbers that it has never seen, too, and its answers are kept.
type Rules interface {
	// Rule returns the rule with the number id of the tenant with the number; id 0 is the
	// policy. What is not known is empty.
	Rule(tenant, id uint32) trace.Rule
	// Reason names a value of event.Action.Reason of a firewall, or returns "".
	Reason(code uint16) string
}

// FastPath names what the fast path has said of packets. It must answer at once, and its answers are
// kept.
type FastPath interface {
	// FastPathReason names a value of event.Action.Reason of a fallback, or returns "".
	FastPathReason(code uint16) string
}

// Options configure a [Correlator]. The zero value of each field but Resolver and
// Emit means its default.
type Options struct {
	// Timeout is how long after its first event a ping without a reply is given up.
	// Default 2 s.
	Timeout time.Duration
	// Grace is how long after the delivery of its reply a ping is kept open for
	// events of other CPUs and for duplicate replies. Default 50 ms.
	Grace time.Duration
	// MaxOpen bounds the number of open pings; the oldest is evicted. Default 65536.
	MaxOpen int
	// MaxEvents bounds the events kept of one ping. Default 512.
	MaxEvents int
	// Key is the key of derived IDs. Default DefaultKey.
	Key Key
	// HostID makes span IDs below the root unique among the hosts that a ping passes.
	HostID string
	// Start is when tracing began, on the events' clock. Packets that were already
	// on their way then are not held against anybody.
	Start uint64
	// Wall is what to add to an event's time for nanoseconds since the Unix epoch. It is
	// needed to see whether a payload carries the time at which it was sent; see
	// [Dated].
	Wall int64
	// Partial is set if the scope of tracing leaves out interfaces, so that what was not
	// seen is missing because it was not asked for.
	Partial bool
	// OwnRoot is set if the part of a ping that this host only passes on is to have a root
	// without a parent, instead of the sender's root as its parent.
	OwnRoot bool
	// Resolver names devices. Required.
	Resolver Resolver
	// Named, if set, reports whether the Resolver's answers about a device, or about the namespace
	// alone if ifindex is 0, are as good as they can be for a packet that was seen at a time on the
	// events' clock, or whether better ones are on their way. It must answer at once. A ping is
	// closed without waiting for them, and its trace is made when they are there.
	Named func(netns, ifindex uint32, seen uint64) bool
	// NameWait is the longest that such a ping waits. Default DefaultNameWait.
	NameWait time.Duration
	// MaxUnnamed bounds the number of pings that wait for that; the one that has done so for longest
	// makes room for others. Default 4096.
	MaxUnnamed int
	// Rules names rules of firewalls. Default: none is known.
	Rules Rules
	// FastPath names reasons of the fast path. Default: none is known.
	FastPath FastPath
	// Emit is given each finished trace, which is then its own. Required.
	Emit func(*trace.Trace)
	// Closing, if set, is given the events of a ping just before its trace is emitted. They
	// are valid until it returns.
	Closing func([]event.Event)
}

// DefaultNameWait is for how long a ping that is closed waits for names: many times as long as a look
// at a namespace takes, and not long for whoever waits for a trace.
const DefaultNameWait = time.Second

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Grace <= 0 {
		o.Grace = 50 * time.Millisecond
	}
	if o.MaxOpen <= 0 {
		o.MaxOpen = 65536
	}
	if o.MaxEvents <= 0 {
		o.MaxEvents = 512
	}
	if o.NameWait <= 0 {
		o.NameWait = DefaultNameWait
	}
	if o.MaxUnnamed <= 0 {
		o.MaxUnnamed = 4096
	}
	if o.Rules == nil {
		o.Rules = Numbers{}
	}
	if o.FastPath == nil {
		o.FastPath = Numbers{}
	}
	if o.Key == (Key{}) {
		o.Key = DefaultKey
	}
	return o
}
