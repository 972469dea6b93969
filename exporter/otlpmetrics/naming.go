// SPDX-License-Identifier: Apache-2.0

package otlpmetrics

import (
	"encoding/hex"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/dwelltrace/dwell/exporter/metrics"
)

// naming gives one metric of the bridge OpenTelemetry's names.
type naming struct {
	definition metrics.Definition
	// keys are those of the labels. A label that has none is left out: host_name, which
	// is on the resource.
	keys map[attribute.Key]attribute.Key
}

func newNaming(d metrics.Definition) naming {
	n := naming{definition: d, keys: make(map[attribute.Key]attribute.Key)}
	for _, key := range d.Attributes {
		n.keys[attribute.Key(metrics.Label(key))] = attribute.Key(key)
	}
	return n
}

// apply renames m, which the bridge made of f.
func (n naming) apply(m *metricdata.Metrics, f *dto.MetricFamily) {
	m.Name, m.Unit, m.Description = n.definition.Name, n.definition.Unit, n.definition.Meaning
	switch data := m.Data.(type) {
	case metricdata.Gauge[float64]:
		n.points(data.DataPoints)
	case metricdata.Sum[float64]:
		n.points(data.DataPoints)
	case metricdata.Histogram[float64]:
		for i := range data.DataPoints {
			p := &data.DataPoints[i]
			p.Attributes = n.attributes(p.Attributes)
			link(p.Exemplars)
		}
	case metricdata.ExponentialHistogram[float64]:
		for i := range data.DataPoints {
			p := &data.DataPoints[i]
			p.Attributes = n.attributes(p.Attributes)
			p.Exemplars = nativeExemplars(f.Metric[i].GetHistogram())
		}
	}
}

func (n naming) points(points []metricdata.DataPoint[float64]) {
	for i := range points {
		points[i].Attributes = n.attributes(points[i].Attributes)
		link(points[i].Exemplars)
	}
}

// attributes renames labels. A label that is empty is one that is not there.
func (n naming) attributes(labels attribute.Set) attribute.Set {
	kvs := make([]attribute.KeyValue, 0, labels.Len())
	for iter := labels.Iter(); iter.Next(); {
		label := iter.Attribute()
		switch key, known := n.keys[label.Key]; {
		case label.Value.AsString() == "":
		case known:
			kvs = append(kvs, attribute.KeyValue{Key: key, Value: label.Value})
		case string(label.Key) == metrics.Label(metrics.AttrOverflow):
			kvs = append(kvs, attribute.Bool(metrics.AttrOverflow, true))
		}
	}
	return attribute.NewSet(kvs...)
}

// link makes bytes of the IDs, which the bridge leaves as text.
func link(exemplars []metricdata.Exemplar[float64]) {
	for i := range exemplars {
		e := &exemplars[i]
		e.TraceID, e.SpanID = id(string(e.TraceID)), id(string(e.SpanID))
	}
}

// nativeExemplars returns those that the bridge leaves out.
func nativeExemplars(h *dto.Histogram) []metricdata.Exemplar[float64] {
	exemplars := make([]metricdata.Exemplar[float64], 0, len(h.GetExemplars()))
	for _, e := range h.GetExemplars() {
		out := metricdata.Exemplar[float64]{Value: e.GetValue(), Time: e.GetTimestamp().AsTime()}
		for _, l := range e.GetLabel() {
			switch l.GetName() {
			case metrics.ExemplarTraceID:
				out.TraceID = id(l.GetValue())
			case metrics.ExemplarSpanID:
				out.SpanID = id(l.GetValue())
			}
		}
		exemplars = append(exemplars, out)
	}
	return exemplars
}

// id reads hexadecimal digits. An exemplar without an ID is still an exemplar.
func id(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}
