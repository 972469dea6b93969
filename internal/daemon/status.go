// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/agent"
)

// checkWithin is how long an endpoint may take to answer a check.
const checkWithin = 5 * time.Second

// view is what the HTTP server shows.
func (d *daemon) view() view {
	return view{
		version: d.opts.Resource.Version, metrics: d.telemetry, scraped: d.scraped.Load,
		health: d.health, log: d.log,
	}
}

func (d *daemon) health() health {
	return health{phase: phase(d.phase.Load()), agent: d.agentStatus(), began: d.began, now: time.Now()}
}

// agentStatus is zero while there is no agent.
func (d *daemon) agentStatus() agent.Status {
	if a := d.agent.Load(); a != nil {
		return (*a).Status()
	}
	return agent.Status{}
}

// stats is what the metrics of the agent show.
func (d *daemon) stats() metrics.AgentStats { return d.statsOf(d.agentStatus()) }

func (d *daemon) statsOf(s agent.Status) metrics.AgentStats {
	pushes := d.telemetry.pushes()
	return metrics.AgentStats{
		Since:  d.began,
		Events: s.Kernel.Total().Emitted, Losses: s.Losses(), TracesOpen: uint64(s.Correlator.Open),
		EventsUnread: s.Backlog.Unread, EventsRoom: s.Backlog.Room, EventsBehind: s.Backlog.Behind, TracesOpenFor: s.Backlog.OpenFor,
		PingsGated: s.Gated.Pings, GatesClosed: s.GatesClosed,
		PingsSampledOut: s.SampledOut.Pings, EventsSampledOut: s.Kernel.Total().SampledOut,
		EventsDiscarded: s.Discarded(), LeftDrops: s.LeftDrops,
		TracesSampledOut: uint64(d.sampler.SampledOut().Traces),
		TenantExports:    d.sinks.tenants.stats(),
		Export:           d.sinks.Stats(), SpoolLimitBytes: d.sinks.spoolLimit.Load(),
		Reloads: d.reloads.Load(), ReloadsFailed: d.failedReloads.Load(),
		ScopeUnresolved: s.Unresolved.Count(),
		RefusedScope:    s.Refused.Scope != nil, RefusedRelease: s.Refused.Release != nil,
		RefusedNetfilter: len(s.Refused.Netfilter),
		NamesUnknown:     s.Inventory.Unknown, Lookups: s.Inventory.Looks, LookupsFailed: s.Inventory.Failed,
		LookupsWaiting: s.Inventory.Waiting, LookupsWaitingFor: s.Inventory.WaitingFor, LookupsPostponed: s.Inventory.Postponed,
		MetricPushes: pushes.Pushed, MetricPushesFailed: pushes.Failed,
		Probes:    d.probeStats(),
		API:       d.api.stats(),
		Firewalls: d.firewallStats(),
		FastPath:  d.fastPathStats(),
		Tenants: metrics.TenantStats{
			InForce: int(d.tenancy.count.Load()), Refused: int(d.tenancy.refused.Load()),
			Conflicts: len(s.Tenants.Conflicts), Unmatched: len(s.Tenants.Unmatched), Doubtful: s.Tenants.Doubtful,
		},
	}
}

// status is one line for the service manager.
func (d *daemon) status() string {
	s := d.agentStatus()
	text := fmt.Sprintf("tracing in %d network namespaces: %d pings, %d events lost", s.NetNS, s.Pings(), s.Lost())
	if n := d.api.stats().Streams; n > 0 {
		text += fmt.Sprintf("; %d streams of the API", n)
	}
	return text + d.firewallStatus() + d.fastPathStatus()
}

// beat reports the daemon's status, and returns why it should be restarted, if it should.
func (d *daemon) beat() error { return d.report(d.health()) }

func (d *daemon) report(h health) error {
	if h.phase == running {
		d.service.status(d.status())
		d.logTroubles()
		d.losses.log(d.log, h.now, h.agent.Losses())
	}
	return h.alive()
}

// logTroubles logs which references of the scope match nothing, when that changes.
func (d *daemon) logTroubles() {
	d.troublesMu.Lock()
	defer d.troublesMu.Unlock()
	status := d.agentStatus()
	now := status.Unresolved
	d.logUnresolved("network namespace", d.troubles.NetNS, now.NetNS)
	d.logUnresolved("interface", d.troubles.Interfaces, now.Interfaces)
	d.troubles = now
	d.logConflicts(status.Tenants.Conflicts)
	d.logUnmatched(status.Tenants.Unmatched)
	d.logFirewall()
	d.logFastPath()
	d.logProbes()
}

// logUnresolved logs the references of one kind, unless they are the same as before.
func (d *daemon) logUnresolved(what string, before, now []string) {
	switch {
	case slices.Equal(before, now):
	case len(now) == 0:
		d.log.Info("every " + what + " of the scope is present")
	default:
		d.log.Warn("no "+what+" matches these references; they are resolved again as "+what+"s come and go", "names", strings.Join(now, ", "))
	}
}

// logRefused logs what the kernel refuses, when that changes.
func (d *daemon) logRefused(err error) {
	if err == nil {
		d.log.Info("the kernel no longer refuses changes to what is traced")
		return
	}
	d.log.Warn("the kernel refuses a change to what is traced; trying again", "error", err)
}

// checkEndpoint warns of an endpoint that does not answer. It may come up while we run.
func (d *daemon) checkEndpoint(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if err := d.sinks.endpoint.check(ctx); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		d.log.Log(ctx, slog.LevelWarn, err.Error()+"; retrying")
	}
}

// checker is an exporter that can try whether the other side answers.
type checker interface {
	exporter.Exporter
	Check(context.Context) error
}

// check tries whether the endpoint answers.
func (s *swappable) check(ctx context.Context) error {
	s.mu.RLock()
	current, ok := s.current.(checker)
	s.mu.RUnlock()
	if !ok {
		return nil
	}
	return current.Check(ctx)
}
