// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// fastPathStats returns what the fast path has counted, nil if no tenant has one.
func (d *daemon) fastPathStats() *metrics.FastPath {
	p := d.path()
	if p == nil {
		return nil
	}
	return fastPathMetrics(p.Stats())
}

func fastPathMetrics(s accelerator.Stats) *metrics.FastPath {
	out := &metrics.FastPath{
		Supported: s.Supported, Attended: s.Attended, Held: s.Held, HeldTime: s.HeldTime, Changes: s.Changes,
		Unasked: s.Unasked, Blocked: s.Blocked, Unattached: s.Unattached, Problems: s.Problems,
		Swept: s.Swept, Unwatched: s.Unwatched, Nobody: byReason(s.Nobody.Slow), NobodyUnlearnt: byReason(s.Nobody.Unlearnt),
	}
	for i := range s.Tenants {
		t := &s.Tenants[i]
		if t.Mode == flow.Off {
			continue
		}
		out.Tenants = append(out.Tenants, metrics.TenantFastPath{
			Tenant: t.Tenant, On: t.Mode == flow.On, Flows: t.Flows, Capacity: t.Capacity, From: fastPathCounts(&t.From), To: fastPathCounts(&t.To),
			Approved: t.Approved, PutOff: t.PutOff, Refused: byReason(t.Refused),
		})
	}
	if out.Tenants == nil {
		return nil
	}
	return out
}

func fastPathCounts(c *accelerator.CountStats) metrics.FastPathCounts {
	return metrics.FastPathCounts{Fast: c.Fast, Bytes: c.Bytes, Same: c.Same, Differ: c.Differ, Learnt: c.Learnt, Slow: byReason(c.Slow), Unlearnt: byReason(c.Unlearnt)}
}

// byReason has the words for reasons.
func byReason(counts map[flow.Reason]uint64) map[string]uint64 {
	out := make(map[string]uint64, len(counts))
	for reason, n := range counts {
		out[reason.String()] += n
	}
	return out
}
