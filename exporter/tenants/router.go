// SPDX-License-Identifier: Apache-2.0

// Package tenants hands each tenant what it may see of each trace.
//
// Views are made here, in one place and before anything is queued, stored or counted for a
// tenant. So what is behind a [Sink] cannot show, lose or count anything of another tenant.
package tenants

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/view"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Sink takes what one tenant may see.
type Sink interface {
	// Take is given views of finished traces, all of the same tenant. It must not change them,
	// may keep them, and must not wait for anything.
	Take(tenant string, views []*trace.Trace)
}

// Router makes the views of all tenants.
type Router struct {
	sinks   []Sink
	viewers atomic.Pointer[map[string]*view.Viewer]
}

// New returns a router that knows of no tenant yet.
func New(sinks ...Sink) *Router {
	r := &Router{sinks: sinks}
	r.viewers.Store(&map[string]*view.Viewer{})
	return r
}

// Set says which tenants there are. It may be called at any time. A nil set has none.
func (r *Router) Set(set *tenant.Set) {
	viewers := map[string]*view.Viewer{}
	if set != nil {
		for _, id := range set.IDs() {
			viewers[id] = &view.Viewer{Tenant: id, Number: set.Number(id), Foreign: set.Foreign(id), ForeignBridge: set.ForeignBridge(id)}
		}
	}
	r.viewers.Store(&viewers)
}

// Take makes the views of traces and hands them on. A trace of which a tenant sees nothing is
// not handed to that one.
func (r *Router) Take(traces []*trace.Trace) {
	viewers := *r.viewers.Load()
	if len(viewers) == 0 {
		return
	}
	views := map[string][]*trace.Trace{}
	for _, t := range traces {
		for _, id := range t.Tenants() {
			v := viewers[id]
			if v == nil { // it is gone by now
				continue
			}
			if seen := v.Of(t); seen != nil {
				views[id] = append(views[id], seen)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(views)) {
		for _, s := range r.sinks {
			s.Take(id, views[id])
		}
	}
}
