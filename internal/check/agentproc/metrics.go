// SPDX-License-Identifier: Apache-2.0

package agentproc

import (
	"context"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics are what the agent says of itself at one time.
type Metrics map[string]*dto.MetricFamily

// Metrics asks for them.
func (a *Agent) Metrics(ctx context.Context) (Metrics, error) {
	body, err := a.get(ctx, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("metrics of dwell agent: %w", err)
	}
	defer body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(body)
	if err != nil {
		return nil, fmt.Errorf("metrics of dwell agent: %w", err)
	}
	return families, nil
}

// Has reports whether there is such a metric.
func (m Metrics) Has(name string) bool { return m[name] != nil }

// Sum adds up all series of a metric that have these labels, each followed by its value.
func (m Metrics) Sum(name string, labels ...string) (sum float64) {
	for _, series := range m[name].GetMetric() {
		if has(series, labels) {
			sum += series.GetGauge().GetValue() + series.GetCounter().GetValue()
		}
	}
	return sum
}

func has(series *dto.Metric, labels []string) bool {
	values := map[string]string{}
	for _, l := range series.GetLabel() {
		values[l.GetName()] = l.GetValue()
	}
	for i := 0; i+1 < len(labels); i += 2 {
		if values[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}
