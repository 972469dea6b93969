// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/probe"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Status is how an Agent does while it runs.
type Status struct {
	// Attached is set while pings are recorded.
	Attached bool
	// LastIteration is when the loop last emptied the ring buffer, which it does several
	// times a second; zero before the first time.
	LastIteration time.Time
	// Summary is what was seen up to then; Export is up to now.
	Summary
	// Inventory is how well names of namespaces and devices are known, up to now.
	Inventory inventory.Stats
	// Backlog is what waits on the way from the kernel to a trace, now.
	Backlog Backlog
	// GatesClosed is the number of identifiers of whose pings only some are traced.
	GatesClosed int
	// NetNS is the number of namespaces that are traced, Netfilter that of those whose
	// chains are timed.
	NetNS, Netfilter int
	// Unresolved are the references of the scope that match nothing now.
	Unresolved Unresolved
	// Refused is what the kernel refuses now.
	Refused Refused
	// Tenants is how what tenants own fits what there is, up to now.
	Tenants inventory.Tenants
}

// settle returns how long it takes at most from a packet to its trace, unless the loop is busy
// for more than a second: a ping that waits for a neighbour's address is kept open beyond the
// timeout, and one that is closed may wait for names.
func settle(timeout, nameWait time.Duration) time.Duration {
	return timeout + correlate.NeighbourWait + nameWait + time.Second
}

// Status returns how the agent does. It may be called at any time, by any goroutine, and
// waits for nothing.
func (a *Agent) Status() Status {
	s := Status{Inventory: a.inventory.Stats(), Tenants: a.inventory.Tenants()}
	if last := a.status.Load(); last != nil {
		s.Attached, s.LastIteration, s.Summary = last.attached, last.taken, last.summary
	}
	if a.sinks.Exporter != nil {
		s.Export = a.sinks.Exporter.Stats()
	}
	s.Backlog = a.backlog(s.Correlator.Oldest)
	if a.gate != nil {
		s.GatesClosed = int(a.gate.closed.Load())
	}
	f := a.watcher.state.Load()
	s.NetNS, s.Netfilter = len(f.filter.NetNS), f.timed
	switch {
	case s.NetNS == 0:
		s.NetNS = f.known
	case slices.Equal(f.filter.NetNS, []uint32{nowhere}):
		s.NetNS = 0
	}
	s.Unresolved, s.Refused = f.unresolved, f.refused // neither is ever modified
	return s
}

// SetScope replaces the scope by s, before or while the agent runs. It may be called by
// any goroutine, and returns when the kernel side filters by s. Nothing is detached for
// it; traces of pings that are in both scopes continue. After an error the old scope
// stays in force. Nothing that s names needs to exist.
func (a *Agent) SetScope(s Scope) error { return a.watcher.set(s) }

// SetTenants says what belongs to whom from now on, before or while the agent runs; nil is
// nobody. It may be called by any goroutine. What has come to belong to another tenant is
// nobody's for as long as packets may be asked about that passed before; see
// [inventory.Inventory.SetTenants].
func (a *Agent) SetTenants(tenants *tenant.Set) { a.inventory.SetTenants(tenants) }

// Namespaces finds, describes and opens network namespaces, as the agent itself does.
func (a *Agent) Namespaces() probe.Namespaces { return a.inventory }

// report is what the loop publishes after each chunk. It is immutable.
type report struct {
	attached bool
	taken    time.Time
	// latest is up to when, on the events' clock, all events have been taken.
	latest  uint64
	summary Summary
}

// publish makes the state of the loop known.
func (a *Agent) publish(attached bool) {
	s := a.summary
	s.Counts = s.Counts.Clone()
	s.Correlator = a.correlator.Stats()
	a.status.Store(&report{attached: attached, taken: time.Now(), latest: a.latest, summary: s})
}
