// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Attributes of probes.
const (
	// AttrProbeName is the name of the probe.
	AttrProbeName = "dwell.probe.name"
	// AttrProbeResult says how a probe ended, see [ProbeResults].
	AttrProbeResult = "dwell.probe.result"
)

// The values of the label dwell_probe_result.
const (
	ProbeSuccess = "success"
	// ProbeTimeout: nothing came in time.
	ProbeTimeout = "timeout"
	// An ICMP error ended the probe: it is larger than a link on the way takes, it went through
	// too many routers, or there is no way to the target.
	ProbeTooBig      = "too_big"
	ProbeExpired     = "expired"
	ProbeUnreachable = "unreachable"
	// It could not be sent: the namespace has no route to the target, or for another reason.
	ProbeNoRoute = "no_route"
	ProbeError   = "error"
	// ProbeAborted: the namespace or the probe was removed meanwhile.
	ProbeAborted = "aborted"
)

// ProbeResults returns all results that there are.
func ProbeResults() []string {
	return []string{ProbeSuccess, ProbeTimeout, ProbeTooBig, ProbeExpired, ProbeUnreachable, ProbeNoRoute, ProbeError, ProbeAborted}
}

// probeAttributes are those of each metric of probes.
func probeAttributes(more ...string) []string {
	of := []string{AttrProbeName, trace.AttrNetNSName, trace.AttrDestinationAddr, trace.AttrNetworkType}
	return append(append(of, more...), trace.AttrTenantID)
}

// The metrics of probes. Names are those that users of blackbox_exporter look for.
var (
	defProbe = Definition{
		Name: "dwell.probe.duration", Instrument: Histogram, Unit: "s", Attributes: probeAttributes(),
		Meaning: "Round-trip time of the agent's own probes that were answered, as the agent has measured it; its exemplars are the traces.",
	}
	defProbeResults = Definition{
		Name: "dwell.probe.results", Instrument: Counter, Unit: "{probe}", Attributes: probeAttributes(AttrProbeResult),
		Meaning: `Probes that the agent sent, by result: "success", "timeout" (lost: no reply in time), "too_big", "expired" or "unreachable" ` +
			`(an ICMP error said at once that it does not arrive: larger than a link takes, too many routers or lost fragments, no way to the target), ` +
			`"no_route" (the namespace has none), "error" (it could not be sent for another reason) ` +
			`or "aborted" (the namespace or the probe was removed meanwhile).`,
	}
)

// ProbeSeries says which probes are counted together.
type ProbeSeries struct {
	// Probe is the name, NetNS that of the namespace in which it is sent, and Tenant the ID of
	// the tenant whose probe it is, or "".
	Probe, NetNS, Tenant string
	Target               netip.Addr
}

// values returns the labels, with more of them before the tenant.
func (s ProbeSeries) values(more ...string) []string {
	of := []string{s.Probe, s.NetNS, s.Target.String(), networkType(s.Target.Is4())}
	return append(append(of, more...), s.Tenant)
}

func (s ProbeSeries) labels(more ...string) (labels labelValues) {
	copy(labels[:], s.values(more...))
	return labels
}

// ProbeTrace names the root span of a probe's trace. The zero value is none.
type ProbeTrace struct {
	Trace trace.ID
	Root  trace.SpanID
}

// Probe counts one probe by its result, which is one of [ProbeResults]; rtt only counts for
// ProbeSuccess. The trace is the exemplar and must be one that is going to be exported.
func (r *Recorder) Probe(s ProbeSeries, result string, rtt time.Duration, of ProbeTrace) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.options.now()
	r.sweep(now)
	m := measurement{
		recorder: r, trace: &trace.Trace{ID: of.Trace}, tenant: s.Tenant, kept: of != (ProbeTrace{}), now: r.age(now),
	}
	root := &trace.Span{ID: of.Root}
	for _, other := range ProbeResults() { // zeros as well, so that the first loss is an increase
		r.probeResults.find(s.labels(other), m.now).used = m.now
	}
	m.count(r.probeResults.byLabels(s.labels(result), m.now), root)
	if result == ProbeSuccess {
		m.observe(r.probe.byLabels(s.labels(), m.now), root, int64(rtt))
	}
}
