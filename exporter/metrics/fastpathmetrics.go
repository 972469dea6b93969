// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// FastPath is how the fast path of a host is. All counts are totals, unless they say otherwise.
type FastPath struct {
	// Supported is set if the kernel can have one, Attended if the agent notices changes now, Held
	// if nothing is sent fast now because it is being found out what a change means.
	Supported, Attended, Held bool
	// HeldTime is for how long that was.
	HeldTime time.Duration
	// Changes is how often something changed, by what it was.
	Changes map[string]uint64
	// Unasked are questions about flows that found no room. They are asked again.
	Unasked uint64
	// Swept are flows that were removed, each direction by itself. Unwatched is how often it was not
	// possible to notice changes any more.
	Swept, Unwatched uint64
	// Nobody are packets from network cards that belong to no flow that is known, by reason: those
	// that took the kernel's own way, and those of them that taught nothing.
	Nobody, NobodyUnlearnt map[string]uint64
	// Blocked and Unattached are devices with something of others' that would be passed over, and
	// devices without the programs, now.
	Blocked, Unattached int
	// Problems is how much is not as it should be now.
	Problems int
	// Tenants are those that have a fast path, or had one.
	Tenants []TenantFastPath
}

// TenantFastPath is how that of one tenant is.
type TenantFastPath struct {
	Tenant string
	// On is set unless packets are only compared.
	On bool
	// Flows and Capacity are the directions of flows that are known, and may be, now.
	Flows, Capacity int
	From, To        FastPathCounts
	// Approved, Refused and PutOff are decisions about flows.
	Approved, PutOff uint64
	Refused          map[string]uint64
}

// FastPathCounts are packets of a tenant in one direction.
type FastPathCounts struct {
	// Fast packets were sent by the fast path; Bytes are theirs.
	Fast, Bytes uint64
	// Slow are packets that took the kernel's own way, and Unlearnt those of them that taught
	// nothing, by reason.
	Slow, Unlearnt map[string]uint64
	// Same and Differ are slow packets that were foretold, rightly or not.
	Same, Differ uint64
	// Learnt is how many flows were learnt.
	Learnt uint64
}

// Attributes of the fast path's metrics.
const (
	// AttrFastPathDirection is "from" or "to", as seen from the tenant.
	AttrFastPathDirection = "dwell.fastpath.direction"
	// AttrFastPathPath is "fast" or "slow".
	AttrFastPathPath = "dwell.fastpath.path"
	// AttrFastPathReason says why.
	AttrFastPathReason = "dwell.fastpath.reason"
)

// The values of some labels.
const (
	// PathFast and PathSlow are those of [AttrFastPathPath]. PathFast is also the reason of a packet
	// that was sent fast.
	PathFast = "fast"
	PathSlow = "slow"
	// ResultSame and ResultDiffer say what came of a comparison.
	ResultSame   = "same"
	ResultDiffer = "differ"
)

// fastPathMetrics are about the fast path. There are none if no tenant has one.
func fastPathMetrics() []agentMetric {
	return append(fastPathTenantMetrics(),
		ofFastPath("dwell.fastpath.supported", Gauge, "", "1 if the kernel can have a fast path, otherwise 0: then all packets take the kernel's own way.",
			func(f *FastPath) float64 { return oneIf(f.Supported) }),
		ofFastPath("dwell.fastpath.attended", Gauge, "", "1 if the agent currently notices changes, otherwise 0: then nothing is sent fast.",
			func(f *FastPath) float64 { return oneIf(f.Attended) }),
		ofFastPath("dwell.fastpath.held", Gauge, "", "1 while nothing is sent fast because something changed and the agent is finding out what that means, otherwise 0.",
			func(f *FastPath) float64 { return oneIf(f.Held) }),
		ofFastPath("dwell.fastpath.held.duration", Counter, "s", "For how long nothing was sent fast because of that.",
			func(f *FastPath) float64 { return f.HeldTime.Seconds() }),
		agentMetric{
			Definition: Definition{
				Name: "dwell.fastpath.changes", Instrument: Counter, Unit: "{change}", Attributes: []string{"reason"}, Agent: true,
				Meaning: `Changes after which what was learnt had to be seen again. reason is what changed: "rules", "devices", "firewall", "tenant" (something that concerns the ports of some tenants only), or "all".`,
			},
			read: func(s AgentStats, emit func(float64, ...string)) {
				if s.FastPath != nil {
					emitSorted(s.FastPath.Changes, func(n uint64, reason string) { emit(float64(n), reason) })
				}
			},
		},
		ofFastPath("dwell.fastpath.unasked", Counter, "{flow}", "Questions of the programs about flows that found no room in the queue to the agent. They are asked again.",
			func(f *FastPath) float64 { return float64(f.Unasked) }),
		ofFastPath("dwell.fastpath.swept", Counter, "{flow}", "Flows that were removed because they had ended or had no packet for a minute, each direction by itself.",
			func(f *FastPath) float64 { return float64(f.Swept) }),
		ofFastPath("dwell.fastpath.unwatched", Counter, "{failure}", "How often the agent became unable to notice changes, so that nothing was sent fast until it was able to again.",
			func(f *FastPath) float64 { return float64(f.Unwatched) }),
		ofNobody("dwell.fastpath.nobody", "Packets that arrived at a network card and belong to no flow that is known, and why they took the kernel's own way: the first packets of tenants' flows, and what does not belong to a tenant.",
			func(f *FastPath) map[string]uint64 { return f.Nobody }),
		ofNobody("dwell.fastpath.nobody.unlearnt", "Those of them from which nothing could be learnt, and why.",
			func(f *FastPath) map[string]uint64 { return f.NobodyUnlearnt }),
		ofFastPath("dwell.fastpath.devices.blocked", Gauge, "{device}", "Devices that currently have programs, filters or queues of others that would be passed over, so that nothing is sent fast through them. dwell fastpath status says what.",
			func(f *FastPath) float64 { return float64(f.Blocked) }),
		ofFastPath("dwell.fastpath.devices.unattached", Gauge, "{device}", "Devices that currently lack the programs.",
			func(f *FastPath) float64 { return float64(f.Unattached) }),
		ofFastPath("dwell.fastpath.problems", Gauge, "{problem}", "What is currently not as it should be with the fast path. dwell fastpath status says what.",
			func(f *FastPath) float64 { return float64(f.Problems) }),
	)
}

// fastPathTenantMetrics are about the fast path of each tenant.
func fastPathTenantMetrics() []agentMetric {
	reason := []string{AttrFastPathDirection, AttrFastPathReason}
	return []agentMetric{
		ofDirections("dwell.fastpath.packets", "{packet}", []string{AttrFastPathDirection, AttrFastPathPath, AttrFastPathReason},
			"Packets of a tenant, by whether they were sent fast or took the kernel's own way, and why: see [fastpath.md](fastpath.md#guards-in-order). The reason of a fast one is \"fast\".",
			func(c *FastPathCounts, emit func(uint64, ...string)) {
				emit(c.Fast, PathFast, PathFast)
				emitSorted(c.Slow, func(n uint64, reason string) { emit(n, PathSlow, reason) })
			}),
		ofDirections("dwell.fastpath.bytes", "By", []string{AttrFastPathDirection}, "Bytes of the packets that were sent fast, from the IP header on.",
			func(c *FastPathCounts, emit func(uint64, ...string)) { emit(c.Bytes) }),
		ofDirections("dwell.fastpath.compared", "{packet}", []string{AttrFastPathDirection, "result"},
			`Packets that took the kernel's own way although their flow was known, so that it could be compared. result is "same", or "differ" if the kernel did otherwise than was foretold although nothing had changed, which must never be.`,
			func(c *FastPathCounts, emit func(uint64, ...string)) {
				emit(c.Same, ResultSame)
				emit(c.Differ, ResultDiffer)
			}),
		ofDirections("dwell.fastpath.learnt", "{flow}", []string{AttrFastPathDirection}, "Flows that were learnt, each direction by itself.",
			func(c *FastPathCounts, emit func(uint64, ...string)) { emit(c.Learnt) }),
		ofDirections("dwell.fastpath.unlearnt", "{packet}", reason, "Packets that took the kernel's own way and from which nothing could be learnt, and why.",
			func(c *FastPathCounts, emit func(uint64, ...string)) {
				emitSorted(c.Unlearnt, func(n uint64, reason string) { emit(n, reason) })
			}),
		ofFastPaths("dwell.fastpath.on", Gauge, "", nil, "1 if the tenant's packets may be sent fast, 0 if they are only compared (shadow).",
			func(t *TenantFastPath, emit func(float64, ...string)) { emit(oneIf(t.On)) }),
		ofFastPaths("dwell.fastpath.flows", Gauge, "{flow}", nil, "Flows that are currently known, each direction by itself.",
			func(t *TenantFastPath, emit func(float64, ...string)) { emit(float64(t.Flows)) }),
		ofFastPaths("dwell.fastpath.flows.limit", Gauge, "{flow}", nil, "How many a tenant may have: fastpath.flows_per_tenant.",
			func(t *TenantFastPath, emit func(float64, ...string)) { emit(float64(t.Capacity)) }),
		ofFastPaths("dwell.fastpath.approved", Counter, "{flow}", nil, "Flows that the agent has allowed to be sent fast. Each is asked for again when rules change.",
			func(t *TenantFastPath, emit func(float64, ...string)) { emit(float64(t.Approved)) }),
		ofFastPaths("dwell.fastpath.refused", Counter, "{flow}", []string{AttrFastPathReason}, "Flows that the agent has refused, and why.",
			func(t *TenantFastPath, emit func(float64, ...string)) {
				emitSorted(t.Refused, func(n uint64, reason string) { emit(float64(n), reason) })
			}),
		ofFastPaths("dwell.fastpath.put_off", Counter, "{flow}", nil, "Flows for which there was no room in the agent's queue of a tenant. They are asked for again.",
			func(t *TenantFastPath, emit func(float64, ...string)) { emit(float64(t.PutOff)) }),
	}
}

// emitSorted passes the counts that are not 0 in order of their names.
func emitSorted(counts map[string]uint64, emit func(n uint64, name string)) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			emit(n, name)
		}
	}
}

// ofFastPath makes a metric of the whole fast path.
func ofFastPath(name string, i Instrument, unit, meaning string, value func(*FastPath) float64) agentMetric {
	return agentMetric{
		Definition: Definition{Name: name, Instrument: i, Unit: unit, Meaning: meaning, Agent: true},
		read: func(s AgentStats, emit func(float64, ...string)) {
			if s.FastPath != nil {
				emit(value(s.FastPath))
			}
		},
	}
}

// ofNobody makes a counter, by reason, of packets that cannot be said to be any tenant's.
func ofNobody(name, meaning string, counts func(*FastPath) map[string]uint64) agentMetric {
	return agentMetric{
		Definition: Definition{Name: name, Instrument: Counter, Unit: "{packet}", Attributes: []string{AttrFastPathReason}, Meaning: meaning, Agent: true},
		read: func(s AgentStats, emit func(float64, ...string)) {
			if s.FastPath != nil {
				emitSorted(counts(s.FastPath), func(n uint64, reason string) { emit(float64(n), reason) })
			}
		},
	}
}

// ofFastPaths makes a metric of each tenant's fast path, with the tenant as its first label.
func ofFastPaths(name string, i Instrument, unit string, labels []string, meaning string, read func(t *TenantFastPath, emit func(float64, ...string))) agentMetric {
	return agentMetric{
		Definition: Definition{
			Name: name, Instrument: i, Unit: unit, Meaning: meaning, Agent: true,
			Attributes: append([]string{trace.AttrTenantID}, labels...),
		},
		read: func(s AgentStats, emit func(float64, ...string)) {
			if s.FastPath == nil {
				return
			}
			for k := range s.FastPath.Tenants {
				t := &s.FastPath.Tenants[k]
				read(t, func(value float64, labels ...string) { emit(value, append([]string{t.Tenant}, labels...)...) })
			}
		},
	}
}

// ofDirections makes a counter of each tenant's packets, with the direction as its second label.
func ofDirections(name, unit string, labels []string, meaning string, read func(c *FastPathCounts, emit func(uint64, ...string))) agentMetric {
	return ofFastPaths(name, Counter, unit, labels, meaning, func(t *TenantFastPath, emit func(float64, ...string)) {
		for _, d := range []struct {
			name string
			c    *FastPathCounts
		}{{"from", &t.From}, {"to", &t.To}} {
			read(d.c, func(n uint64, labels ...string) { emit(float64(n), append([]string{d.name}, labels...)...) })
		}
	})
}
