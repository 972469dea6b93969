// SPDX-License-Identifier: Apache-2.0

package otlpmetrics

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/status"
)

// Stats counts requests. A push is one, or several where there are many series.
type Stats struct{ Pushed, Failed uint64 }

// health knows whether pushes succeed. It recovers only after a whole push without an
// error: of several requests one may fail each time.
type health struct {
	log *slog.Logger

	mu     sync.Mutex
	counts Stats
	// failing is set from the first error on until a push was well.
	failing bool
	// round is what became of the push in progress.
	round Stats
	err   error
}

// begin is called before each push.
func (h *health) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing && h.round.Pushed > 0 && h.round.Failed == 0 {
		h.failing = false
		h.log.Info("metrics export recovered", "failed", h.counts.Failed)
	}
	h.round, h.err = Stats{}, nil
}

// request notes what became of a request.
func (h *health) request(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.counts.Pushed++
		h.round.Pushed++
		return
	}
	h.counts.Failed++
	h.round.Failed++
	h.err = err
	if !h.failing {
		h.failing = true
		h.log.Warn("metrics export is failing; the next push will include what was counted", "error", reason(err))
	}
}

func (h *health) stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

func (h *health) lastError() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// reason is what the other side said, without what gRPC puts around it.
func reason(err error) string {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) && s.GRPCStatus().Message() != "" {
		return s.GRPCStatus().Message()
	}
	return err.Error()
}

// checked hands errors to health only: the SDK would print each of them. A push that
// Shutdown cancels is none: the last one follows, with the same counters.
type checked struct {
	sdkmetric.Exporter
	health *health
}

func (e checked) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	err := e.Exporter.Export(ctx, m)
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		e.health.request(err)
	}
	return nil
}

// exponential reports whether the environment wants exponential histograms, which the
// client knows.
func exponential(client sdkmetric.Exporter) bool {
	_, yes := client.Aggregation(sdkmetric.InstrumentKindHistogram).(sdkmetric.AggregationBase2ExponentialHistogram)
	return yes
}
