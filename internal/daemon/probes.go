// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/probe"
	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// probeTraceSlack is how much longer than its trace should take a probe waits for it: the agent
// reads its events several times a second.
const probeTraceSlack = 2 * time.Second

// loggedProblems is how many problems of probes are logged one by one.
const loggedProblems = 20

func (d *daemon) newProber() *probe.Prober {
	return probe.New(probe.Options{
		Record: func(r probe.Result) {
			d.telemetry.probe(seriesOf(r.Series), r.Outcome.String(), r.RTT, metrics.ProbeTrace{Trace: r.Trace, Root: r.Root})
		},
		Key:       d.config.Trace.IDKey(),
		TraceWait: time.Duration(d.config.Trace.Timeout) + correlate.NeighbourWait + probeTraceSlack,
	})
}

// setProbes has the probes be sent that are in force: the operator's and those of tenants.
func (d *daemon) setProbes() {
	list := appendProbes(nil, "", d.config.Probes)
	for i := range d.tenancy.state.Definitions {
		def := &d.tenancy.state.Definitions[i]
		list = appendProbes(list, def.ID, def.Probes)
	}
	c := d.config.Probing
	d.prober.Set(list, probe.Limits{Rate: float64(c.MaxRate), TenantRate: float64(c.TenantMaxRate), Pairs: probe.MaxPairs})
}

func appendProbes(list []probe.Probe, tenant string, of []config.Probe) []probe.Probe {
	for i := range of {
		c := &of[i]
		targets := make([]netip.Addr, len(c.Targets))
		for j, t := range c.Targets {
			targets[j] = t.Addr
		}
		list = append(list, probe.Probe{
			Name: c.Name, Tenant: tenant, NetNS: texts(c.NetNS), Targets: targets,
			Interval: time.Duration(c.Interval), Timeout: c.Wait(), Size: c.Size,
		})
	}
	return list
}

// probeStats is what the metrics show.
func (d *daemon) probeStats() metrics.ProbeStats {
	s := d.prober.Stats()
	out := metrics.ProbeStats{
		Unresolved: len(s.Unresolved), Skipped: s.Skipped,
		Refused: map[string]int{metrics.ProbeRefusedLimit: s.OverLimit, metrics.ProbeRefusedNotOwned: s.NotOwned},
	}
	for _, state := range s.States {
		out.States = append(out.States, metrics.ProbeState{
			ProbeSeries: seriesOf(state.Series), Ended: state.Last != 0, Up: state.Last == probe.Answered,
		})
	}
	return out
}

func seriesOf(s probe.Series) metrics.ProbeSeries {
	return metrics.ProbeSeries{Probe: s.Probe, NetNS: s.NetNS, Tenant: s.Tenant, Target: s.Target}
}

// logProbes logs what keeps probes from being sent, once for as long as it does.
func (d *daemon) logProbes() {
	d.probeTroubles = d.logProblems("probe", d.probeTroubles, probeProblems(d.prober.Stats()))
}

func probeProblems(s probe.Stats) []string {
	problems := s.Problems
	for _, reference := range s.Unresolved {
		problems = append(problems, "probe "+reference+": no network namespace matches this reference; it is resolved again as they come and go")
	}
	if n := len(problems); n > loggedProblems {
		problems = append(problems[:loggedProblems:loggedProblems], fmt.Sprintf("%d more of the kind", n-loggedProblems))
	}
	if s.OverLimit > 0 {
		problems = append(problems, fmt.Sprintf("%d pairs of a network namespace and a target are not probed: they would exceed probing.max_rate, probing.tenant_max_rate or what there may be in all, %d pairs; "+
			"raise the limit, or use longer intervals or fewer targets and namespaces", s.OverLimit, probe.MaxPairs))
	}
	if s.NotOwned > 0 {
		problems = append(problems, fmt.Sprintf("%d pairs of a network namespace and a target are not probed for a tenant: the namespace is not the tenant's; "+
			"name only namespaces that the tenant's definition gives to it", s.NotOwned))
	}
	return problems
}

// probed says how many probes there would be.
func probed(c config.Config, s *tenantdir.State) string {
	own, ofTenants := len(c.Probes), 0
	for i := range s.Definitions {
		ofTenants += len(s.Definitions[i].Probes)
	}
	if own+ofTenants == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of the operator, at most %d pings a second; %d of tenants, at most %d for each", own, c.Probing.MaxRate, ofTenants, c.Probing.TenantMaxRate)
}
