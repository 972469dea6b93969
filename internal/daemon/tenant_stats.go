// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/metrics"
)

// total is the account of all tenants together.
func (x *tenantExports) total() exporter.Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	sum := x.gone.Plus(exporter.Stats{})
	for _, t := range x.tenants {
		sum = sum.Plus(t.to.Stats())
	}
	return sum
}

// stats returns the account of each tenant that there is, by ID.
func (x *tenantExports) stats() []metrics.TenantExport {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]metrics.TenantExport, 0, len(x.tenants))
	for _, id := range slices.Sorted(maps.Keys(x.tenants)) {
		t := x.tenants[id]
		all = append(all, metrics.TenantExport{Tenant: id, Since: t.since, Stats: t.to.Stats()})
	}
	return all
}

// sumUp logs what became of each tenant's traces, if any tenant had some.
func (x *tenantExports) sumUp() {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(x.tenants)) {
		x.tenants[id].sumUp()
	}
}

func (t *tenantExport) sumUp() {
	s, left := t.to.Stats(), t.sampler.SampledOut()
	if s.Sent == (exporter.Count{}) && s.TotalLost() == (exporter.Count{}) && left == (exporter.Count{}) {
		return
	}
	attrs := []any{"spans_sent", s.Sent.Spans, "sampled_out", left.Traces}
	if lost := s.LostString(); lost != "" {
		attrs = append(attrs, "lost", lost)
	}
	t.log.Info("the tenant's export has ended", attrs...)
}

// lostSince returns an error if tenants have lost traces since the account was before.
func (x *tenantExports) lostSince(before exporter.Stats, limit time.Duration) error {
	lost := x.total().TotalLost().Minus(before.TotalLost())
	if lost.Spans <= 0 {
		return nil
	}
	advice := ""
	if !x.spools() {
		advice = "; a spool would have kept them (tenancy.export.spool.dir)"
	}
	return fmt.Errorf("%v of tenants were lost on shutdown: they could not be sent within shutdown.timeout, %v%s", lost, limit, advice)
}

// spools reports whether some tenant has a spool.
func (x *tenantExports) spools() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.spooling
}
