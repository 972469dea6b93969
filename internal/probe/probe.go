// SPDX-License-Identifier: Apache-2.0

// Package probe pings by itself: from network namespaces to targets, each every so often, so
// that there is something to trace and to alert on where nobody pings.
//
// A probe names namespaces, which come and go. So what is sent is planned again every second:
// each namespace that a probe means now, and each of its targets, is a pair with a goroutine of
// its own. A pair opens its socket for each ping and closes it when that is over, because an
// open socket would keep a namespace alive that was removed.
//
// Tenants have probes, too. These are sent only from namespaces that are the tenant's at that
// moment, and each tenant has limits of its own, so that none takes room from another.
//
// A probe is a ping like any other: whether it is traced is not decided here. Its payload
// gives the trace its ID, and says to whoever captures it who sends it. When the agent has
// seen the trace of a probe, the result goes on with it, and so gets its exemplar.
package probe

import (
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Probe is what is pinged from where, and how often.
type Probe struct {
	// Name, with Tenant, says which probe it is.
	Name string
	// Tenant is the ID of the tenant whose probe it is, or "" for the operator's.
	Tenant string
	// NetNS are references to the namespaces to ping from, see [Namespaces].
	NetNS   []string
	Targets []netip.Addr
	// Interval is the time from one ping to the next, Timeout how long to wait for a reply,
	// which is not longer.
	Interval, Timeout time.Duration
	// Size is the length of the payload in bytes, at least [MinSize].
	Size int
}

// Namespaces finds namespaces and says whose they are; an inventory does. Its methods are
// called by many goroutines.
type Namespaces interface {
	// Find returns the inode numbers of the namespaces that a reference means now.
	Find(ref string) []uint32
	// NetNS describes a namespace.
	NetNS(inode uint32) *trace.NetNS
	// Open opens a namespace. The error wraps inventory.ErrGone if it is not there any more.
	Open(inode uint32) (*netns.NS, error)
}

// Series says which pings are counted together.
type Series struct {
	// Probe and Tenant are those of the [Probe], NetNS is the name of the namespace.
	Probe, Tenant, NetNS string
	Target               netip.Addr
}

// Result is one ping.
type Result struct {
	Series
	Outcome Outcome
	// RTT is how long the reply took if there was one.
	RTT time.Duration
	// Trace and Root are the IDs of the trace and its root span if it was seen and is going to
	// be exported, otherwise zero.
	Trace trace.ID
	Root  trace.SpanID
}

// Options of a [Prober].
type Options struct {
	// Record is called with each result once, by several goroutines.
	Record func(Result)
	// Key is the key of trace IDs. Default: correlate.DefaultKey.
	Key correlate.Key
	// TraceWait is how long a result waits for its trace at most.
	TraceWait time.Duration

	// send pings once, but for tests.
	send sender
	// random returns a number from 0 up to 1, but for tests.
	random func() float64
}

// Limits bound what is sent. What exceeds them is not, and is counted.
type Limits struct {
	// Rate is how many pings a second the operator's probes may send, and those of all tenants
	// together as well; TenantRate how many those of one tenant may, but never more than an
	// equal share.
	Rate, TenantRate float64
	// Pairs is how many pairs of namespace and target there may be, as for Rate.
	Pairs int
}

// MaxPairs is what Limits.Pairs should be: each pair is a goroutine and several series.
const MaxPairs = 1000
