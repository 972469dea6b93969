// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/loss"
)

// defBuild is shown once and does not change.
var defBuild = Definition{
	Name: "dwell.build.info", Instrument: Gauge, Unit: "",
	Attributes: []string{"version", "host.id"}, Agent: true,
	Meaning: "Always 1; the labels state which version of dwell runs on which machine.",
}

func agentDefinitions() []Definition {
	var defs []Definition
	for _, m := range agentMetrics() {
		defs = append(defs, m.Definition)
	}
	return append(defs, defBuild)
}

// agentMetrics lists what is read from a snapshot, in the order of the page.
func agentMetrics() []agentMetric {
	return slices.Concat(eventMetrics(), lossMetrics(), exportMetrics(), tenantExportMetrics(), controlMetrics(), nameMetrics(), apiMetrics(), tenantMetrics(), probeMetrics(), firewallMetrics(), fastPathMetrics())
}

func eventMetrics() []agentMetric {
	return []agentMetric{
		counter("dwell.agent.events", "{event}", "Events received from the kernel.",
			func(s AgentStats) uint64 { return s.Events }),
		gauge("dwell.agent.events.unread", "By", "Size of the events that wait to be read, in the ring buffer and in memory.",
			func(s AgentStats) float64 { return float64(s.EventsUnread) }),
		gauge("dwell.agent.events.unread.limit", "By", "Size limit of the events that wait to be read; further ones are lost.",
			func(s AgentStats) float64 { return float64(s.EventsRoom) }),
		gauge("dwell.agent.events.unread.age", "s", "Age of the oldest event that may be unread: the time since up to which all events have been read. They are read every 0.2 s, or as soon as there are many.",
			func(s AgentStats) float64 { return s.EventsBehind.Seconds() }),
		gauge("dwell.agent.traces.open", "{trace}", "Pings that are currently open.",
			func(s AgentStats) float64 { return float64(s.TracesOpen) }),
		gauge("dwell.agent.traces.open.age", "s", "Age of the ping that has been open for longest, 0 if none is. One that is not answered is open for trace.timeout, or longer while it may be waiting for a neighbour's address.",
			func(s AgentStats) float64 { return s.TracesOpenFor.Seconds() }),
		counter("dwell.agent.pings.gated", "{ping}", "Pings that were left out on purpose because there were more than can be traced, about: counted by their events.",
			func(s AgentStats) uint64 { return s.PingsGated }),
		gauge("dwell.agent.gates.closed", "{identifier}", "ICMP identifiers of which only a part of the pings is currently traced, because they have the most.",
			func(s AgentStats) float64 { return float64(s.GatesClosed) }),
		counter("dwell.agent.pings.sampled_out", "{ping}", "Pings that were not traced because of sampling in the kernel, about: counted by their events.",
			func(s AgentStats) uint64 { return s.PingsSampledOut }),
		counter("dwell.agent.events.sampled_out", "{event}", "Events that were not recorded because of sampling in the kernel.",
			func(s AgentStats) uint64 { return s.EventsSampledOut }),
		counter("dwell.agent.events.discarded", "{event}", "Events received of pings that were on their way when it was changed which are left out, and that are not shown.",
			func(s AgentStats) uint64 { return s.EventsDiscarded }),
		{
			Definition: Definition{
				Name: "dwell.agent.drops.left_out", Instrument: Counter, Unit: "{packet}", Attributes: []string{trace.AttrDropReason}, Agent: true,
				Meaning: "Echo packets that the kernel dropped of pings that were not traced on purpose, sampled out or gated, by drop reason.",
			},
			read: leftDrops,
		},
		counter("dwell.agent.traces.sampled_out", "{trace}", "Traces that were not exported because of sampling.",
			func(s AgentStats) uint64 { return s.TracesSampledOut }),
	}
}

// lossMetrics has a counter for each kind of loss.
func lossMetrics() []agentMetric {
	var all []agentMetric
	for _, l := range loss.Table() {
		all = append(all, counter(l.Metric, l.Unit, l.Meaning, func(s AgentStats) uint64 { return *l.Of(&s.Losses) }))
	}
	return all
}

func exportMetrics() []agentMetric {
	return []agentMetric{
		counter("dwell.agent.export.spans.sent", "{span}", "Spans that the backend has accepted.",
			func(s AgentStats) uint64 { return uint64(s.Export.Sent.Spans) }),
		{
			Definition: Definition{
				Name: "dwell.agent.export.spans.lost", Instrument: Counter, Unit: "{span}", Attributes: []string{"cause"}, Agent: true,
				Meaning: "Spans that are lost and will not be sent, by cause: one of dwell's own, or a gRPC status code in lower case.",
			},
			read: lostByCause,
		},
		gauge("dwell.agent.export.spans.queued", "{span}", "Spans waiting to be sent, including those in the spool.",
			func(s AgentStats) float64 { return float64(s.Export.Queued.Spans) }),
		gauge("dwell.agent.export.spans.spooled", "{span}", "Queued spans that are on disk.",
			func(s AgentStats) float64 { return float64(s.Export.Spooled.Spans) }),
		gauge("dwell.agent.export.spans.queued.age", "s", "How long the span has been waiting that has been for longest, including those in the spool; 0 if none is.",
			func(s AgentStats) float64 { return age(s.Export.Oldest, s.Now) }),
		gauge("dwell.agent.export.spans.spooled.age", "s", "How long the span has been waiting that has been for longest of those on disk; 0 if none is. What an earlier process has left is taken to be as old as its file.",
			func(s AgentStats) float64 { return age(s.Export.OldestSpooled, s.Now) }),
		gauge("dwell.agent.spool", "By", "Size of the spool on disk.",
			func(s AgentStats) float64 { return float64(s.Export.SpoolBytes) }),
		gauge("dwell.agent.spool.limit", "By", "Size limit of the spool; 0 if there is no spool.",
			func(s AgentStats) float64 { return float64(s.SpoolLimitBytes) }),
		gauge("dwell.agent.spool.failing", "{spool}", "1 while the spool cannot be opened or written to, so that traces wait in memory only; else 0.",
			func(s AgentStats) float64 { return float64(s.Export.SpoolsFailing) }),
	}
}

// leftDrops shows each reason that there was.
func leftDrops(s AgentStats, emit func(float64, ...string)) {
	for _, reason := range slices.Sorted(maps.Keys(s.LeftDrops)) {
		emit(float64(s.LeftDrops[reason]), reason)
	}
}

func controlMetrics() []agentMetric {
	return []agentMetric{
		results("dwell.agent.config.reloads", "{reload}", "Reloads of the configuration.",
			func(s AgentStats) (ok, failed uint64) { return s.Reloads, s.ReloadsFailed }),
		gauge("dwell.agent.scope.unresolved", "{reference}", "References in the configured scope that currently match no namespace or no interface.",
			func(s AgentStats) float64 { return float64(s.ScopeUnresolved) }),
		{
			Definition: Definition{
				Name: "dwell.agent.scope.refused", Instrument: Gauge, Unit: "{refusal}", Attributes: []string{"operation"}, Agent: true,
				Meaning: `What the kernel currently refuses. operation is "scope" (1 if what is traced could not be changed), ` +
					`"netfilter" (the number of namespaces whose chains cannot be timed) or "release" (1 if a namespace that nobody else uses any more cannot be released).`,
			},
			read: func(s AgentStats, emit func(float64, ...string)) {
				emit(oneIf(s.RefusedScope), OperationScope)
				emit(float64(s.RefusedNetfilter), OperationNetfilter)
				emit(oneIf(s.RefusedRelease), OperationRelease)
			},
		},
		results("dwell.agent.metrics.pushes", "{request}", "Requests that push these metrics over OTLP; a push with many series takes several.",
			func(s AgentStats) (ok, failed uint64) { return s.MetricPushes, s.MetricPushesFailed }),
	}
}

func nameMetrics() []agentMetric {
	return []agentMetric{
		counter("dwell.agent.names.unknown", "{name}", "Times that the name of a namespace or device was not known, so a trace has its number instead.",
			func(s AgentStats) uint64 { return s.NamesUnknown }),
		results("dwell.agent.names.lookups", "{lookup}", "Times that a namespace was inspected for the names in it. Most failures are of namespaces that no longer exist.",
			func(s AgentStats) (ok, failed uint64) { return s.Lookups - s.LookupsFailed, s.LookupsFailed }),
		gauge("dwell.agent.names.waiting", "{namespace}", "Namespaces that wait to be inspected, because inspections take no more than 2 % of a CPU. Until then, their devices may go by numbers.",
			func(s AgentStats) float64 { return float64(s.LookupsWaiting) }),
		gauge("dwell.agent.names.waiting.age", "s", "How long the namespace has been waiting to be inspected that has been for longest; 0 if none is.",
			func(s AgentStats) float64 { return s.LookupsWaitingFor.Seconds() }),
		counter("dwell.agent.names.postponed", "{lookup}", "Inspections of known namespaces that were due after a second and were left out, because inspections take no more than 2 % of a CPU.",
			func(s AgentStats) uint64 { return s.LookupsPostponed }),
	}
}

// age returns the seconds since a time, 0 since none.
func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}

func oneIf(set bool) float64 {
	if set {
		return 1
	}
	return 0
}

func counter(name, unit, meaning string, value func(AgentStats) uint64) agentMetric {
	return agentMetric{
		Definition: Definition{Name: name, Instrument: Counter, Unit: unit, Meaning: meaning, Agent: true},
		read:       func(s AgentStats, emit func(float64, ...string)) { emit(float64(value(s))) },
	}
}

func gauge(name, unit, meaning string, value func(AgentStats) float64) agentMetric {
	return agentMetric{
		Definition: Definition{Name: name, Instrument: Gauge, Unit: unit, Meaning: meaning, Agent: true},
		read:       func(s AgentStats, emit func(float64, ...string)) { emit(value(s)) },
	}
}

// results makes a counter with the label result.
func results(name, unit, meaning string, values func(AgentStats) (ok, failed uint64)) agentMetric {
	return agentMetric{
		Definition: Definition{
			Name: name, Instrument: Counter, Unit: unit, Attributes: []string{"result"}, Agent: true,
			Meaning: meaning + ` result is "success" or "failure".`,
		},
		read: func(s AgentStats, emit func(float64, ...string)) {
			ok, failed := values(s)
			emit(float64(ok), ResultSuccess)
			emit(float64(failed), ResultFailure)
		},
	}
}
