// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Instrument is what kind of metric it is.
type Instrument string

// The instruments, named as OpenTelemetry's data model has them.
const (
	Histogram Instrument = "histogram"
	Counter   Instrument = "counter"
	Gauge     Instrument = "gauge"
)

// Definition documents one metric. The page docs/metrics.md is made from these.
type Definition struct {
	// Name is OpenTelemetry's; see Prometheus for the other one.
	Name       string
	Instrument Instrument
	// Unit is a UCUM unit: "s", "By", "1", or an annotation such as "{ping}".
	Unit string
	// Attributes are the keys, in the order of the labels.
	Attributes []string
	Meaning    string
	// Agent is set for what is about dwell itself.
	Agent bool
}

// Attributes that are only on metrics, in addition to those of [trace.Attributes].
const (
	// AttrHostName is a label of every series; over OTLP it is on the resource.
	AttrHostName = trace.AttrHostName
	// AttrParentKind is empty for a hop and otherwise the kind of the span around.
	AttrParentKind = "dwell.parent.kind"
	// AttrOverflow is "true" for the series that takes in what would be too many
	// (OpenTelemetry metrics SDK, cardinality limits).
	AttrOverflow = "otel.metric.overflow"
	// AttrMetric names the metric that a metric is about.
	AttrMetric = "dwell.metric.name"
)

// The metrics of pings.
var (
	defDevice = Definition{
		Name: "dwell.device.duration", Instrument: Histogram, Unit: "s",
		Attributes: []string{
			trace.AttrKind, AttrParentKind, trace.AttrNetworkInterface, trace.AttrDirection,
			trace.AttrNetNSName, trace.AttrNetNSRole, trace.AttrTenantID,
		},
		Meaning: "Time that a packet spent in a device, link, bridge or hypervisor, or in a part of one.",
	}
	defPing = Definition{
		Name: "dwell.ping.duration", Instrument: Histogram, Unit: "s",
		Attributes: []string{trace.AttrNetNSName, trace.AttrNetworkType, trace.AttrTenantID},
		Meaning:    "Round-trip time of complete pings that were sent from this host, up to the first reply.",
	}
	defPings = Definition{
		Name: "dwell.pings", Instrument: Counter, Unit: "{ping}",
		Attributes: []string{trace.AttrOutcome, trace.AttrIncomplete, trace.AttrTenantID},
		Meaning:    "Pings traced, by outcome; dwell.incomplete gives the reason if the trace is incomplete.",
	}
	defDrops = Definition{
		Name: "dwell.drops", Instrument: Counter, Unit: "{packet}",
		Attributes: []string{
			trace.AttrDropReason, trace.AttrNetworkInterface, trace.AttrDirection, trace.AttrNetNSName, trace.AttrTenantID,
		},
		Meaning: "Echo packets that the kernel dropped, by drop reason and place; those whose time to live ran out are not among them.",
	}
	defOverflowed = Definition{
		Name: "dwell.agent.metrics.overflowed", Instrument: Counter, Unit: "{measurement}",
		Attributes: []string{AttrMetric}, Agent: true,
		Meaning: "Measurements counted in a metric's overflow series because the metric has reached its maximum number of series.",
	}
	defExpired = Definition{
		Name: "dwell.agent.metrics.expired", Instrument: Counter, Unit: "{series}",
		Attributes: []string{AttrMetric}, Agent: true,
		Meaning: "Series removed because nothing was added to them for the time configured as metrics.expire.",
	}
	defEvicted = Definition{
		Name: "dwell.agent.metrics.evicted", Instrument: Counter, Unit: "{series}",
		Attributes: []string{AttrMetric}, Agent: true,
		Meaning: "Series removed before they expired, because the metric has reached its maximum number of series and another needed the place; those that have been idle for longest go first.",
	}
	defSeries = Definition{
		Name: "dwell.agent.metrics.series", Instrument: Gauge, Unit: "{series}",
		Attributes: []string{AttrMetric}, Agent: true,
		Meaning: "Current number of series of a metric.",
	}
)

// Definitions returns every metric of dwell, those of pings first.
func Definitions() []Definition {
	return append([]Definition{defDevice, defPing, defPings, defDrops, defProbe, defProbeResults, defOverflowed, defExpired, defEvicted, defSeries},
		agentDefinitions()...)
}

// Prometheus returns the name of the metric family as OpenTelemetry's rules for
// Prometheus have it: unit and _total appended
// (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
func (d Definition) Prometheus() string {
	name := Label(d.Name)
	switch d.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name = strings.TrimSuffix(name, "_bytes") + "_bytes"
	}
	if d.Instrument == Counter {
		name += "_total"
	}
	return name
}

// Labels returns the attributes as label names.
func (d Definition) Labels() []string {
	labels := make([]string, len(d.Attributes))
	for i, key := range d.Attributes {
		labels[i] = Label(key)
	}
	return labels
}

// Label returns the Prometheus label name of an attribute key.
func Label(key string) string { return strings.ReplaceAll(key, ".", "_") }
