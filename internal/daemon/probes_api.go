// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/probe"
)

// askedProbes says in the API how the probes go.
type askedProbes struct{ prober *probe.Prober }

// AllProbes implements backend.Probes.
func (a askedProbes) AllProbes() api.Probes { return probesOf(a.prober.Stats()) }

// ProbesOf implements backend.Probes.
func (a askedProbes) ProbesOf(tenant string) api.Probes { return probesOf(a.prober.StatsOf(tenant)) }

func probesOf(s probe.Stats) api.Probes {
	out := api.Probes{Unresolved: s.Unresolved, OverLimit: s.OverLimit}
	for i := range s.States {
		state := &s.States[i]
		p := api.Probe{
			Tenant: state.Tenant, Name: state.Probe, NetNS: state.NetNS, Target: state.Target.String(),
			Result: state.Last.String(), Reason: state.Why, Time: timeIf(state.Ended), LastSuccess: timeIf(state.Answered), Next: timeIf(state.Next),
		}
		if p.LastSuccess != nil {
			rtt := int64(state.RTT)
			p.RTT = &rtt
		}
		out.Probes = append(out.Probes, p)
	}
	return out
}

// timeIf returns a time, nil if it is none.
func timeIf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
