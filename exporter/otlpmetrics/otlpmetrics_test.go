// SPDX-License-Identifier: Apache-2.0

package otlpmetrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func TestOnlyOwnMetricsArePushed(t *testing.T) {
	s := serve(t, ok)
	p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{}), Endpoint: s.address})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := byName(s.received())
	for _, d := range metrics.Definitions() {
		if got[d.Name] == nil {
			t.Errorf("%s was not pushed", d.Name)
		}
		delete(got, d.Name)
	}
	for name := range got {
		t.Errorf("%s was pushed", name)
	}
}

// The SDK's variable chooses exponential histograms, which are the native ones.
func TestExponentialHistograms(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")
	s := serve(t, ok)
	p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{}), Endpoint: s.address})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	points := byName(s.received())["dwell.ping.duration"].GetExponentialHistogram().GetDataPoints()
	if len(points) != 1 {
		t.Fatalf("%d exponential data points of dwell.ping.duration, want 1", len(points))
	}
	ping := tracetest.Complete(1)
	want := map[string]string{"dwell.netns.name": ping.Root().NetNS.Name, "network.type": "ipv4"}
	if diff := cmp.Diff(want, attributes(points[0].Attributes)); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	var sum uint64
	for _, n := range points[0].Positive.BucketCounts {
		sum += n
	}
	if sum != 3 || points[0].Count != 3 || points[0].Scale != 3 { // two and that with two replies
		t.Errorf("%d in buckets, %d in all, scale %d; want 3, 3, 3", sum, points[0].Count, points[0].Scale)
	}
	found := exemplarsOfOTLP(points[0].Exemplars)
	if len(found) == 0 || found[0].TraceID != ping.ID.String() || found[0].SpanID != ping.Root().ID.String() {
		t.Errorf("exemplars %v, want that of %s", found, ping.ID)
	}
}

// What the registry counts is cumulative; to say that it were deltas would be wrong.
func TestTemporalityIsCumulative(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
	s := serve(t, ok)
	p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{}), Endpoint: s.address})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	const cumulative = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	got := byName(s.received())
	if sum := got["dwell.pings"].GetSum(); sum.GetAggregationTemporality() != cumulative || !sum.GetIsMonotonic() {
		t.Errorf("dwell.pings is %s, monotonic: %t", sum.GetAggregationTemporality(), sum.GetIsMonotonic())
	}
	if is := got["dwell.ping.duration"].GetHistogram().GetAggregationTemporality(); is != cumulative {
		t.Errorf("dwell.ping.duration is %s", is)
	}
}

// TestFailureIsToldOnce has an endpoint fail for a while.
func TestFailureIsToldOnce(t *testing.T) {
	const fails = 5
	enough := make(chan struct{})
	s := serve(t, func(n int) (*answer, error) {
		if n == fails+2 {
			close(enough)
		}
		if n <= fails {
			return nil, status.Error(codes.InvalidArgument, "not today")
		}
		return &answer{}, nil
	})
	var log bytes.Buffer
	p := start(t, otlpmetrics.Options{
		Gatherer: filled(t, metrics.Options{}), Endpoint: s.address, Interval: 10 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: noTime})),
	})
	<-enough
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	want := "level=WARN msg=\"metrics export is failing; the next push will include what was counted\" endpoint=" + s.address + " error=\"not today\"\n" +
		"level=INFO msg=\"metrics export recovered\" endpoint=" + s.address + " failed=5\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if got := p.Stats(); got.Failed != fails || got.Pushed < 2 {
		t.Errorf("%+v, want %d failures and at least 2 pushes", got, fails)
	}
}

func noTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestPartialSuccessIsAFailure(t *testing.T) {
	s := serve(t, func(int) (*answer, error) {
		return &answer{PartialSuccess: &colmetricspb.ExportMetricsPartialSuccess{RejectedDataPoints: 3, ErrorMessage: "too many"}}, nil
	})
	p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{}), Endpoint: s.address})
	if err := p.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("Shutdown says %v, want why data points were rejected", err)
	}
	if got := p.Stats(); got != (otlpmetrics.Stats{Failed: 1}) {
		t.Errorf("%+v, want one failure", got)
	}
}

// TestShutdownIsBounded has an endpoint that takes a connection and never answers.
func TestShutdownIsBounded(t *testing.T) {
	over := make(chan struct{})
	s := serve(t, func(int) (*answer, error) {
		<-over
		return &answer{}, nil
	})
	p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{}), Endpoint: s.address, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := p.Shutdown(ctx)
	close(over)
	if err == nil || !strings.HasPrefix(err.Error(), "the last metrics did not reach the OTLP endpoint "+s.address) {
		t.Errorf("Shutdown says %v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("Shutdown took %v", took)
	}
}

// TestShutdownWithoutTime is told that there is no time before it has begun, and after.
func TestShutdownWithoutTime(t *testing.T) {
	arrived, over := make(chan struct{}), make(chan struct{})
	s := serve(t, func(int) (*answer, error) {
		close(arrived)
		<-over
		return &answer{}, nil
	})
	for _, early := range []bool{true, false} {
		p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{}), Endpoint: s.address})
		ctx, cancel := context.WithCancel(t.Context())
		if early {
			cancel()
		} else {
			go func() {
				<-arrived
				cancel()
			}()
		}
		if err := p.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("early %t: Shutdown says %v, want that it was canceled", early, err)
		}
		cancel()
	}
	close(over)
}

func TestShutdownTwice(t *testing.T) {
	s := serve(t, ok)
	p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{}), Endpoint: s.address})
	for range 2 {
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := p.Stats(); got != (otlpmetrics.Stats{Pushed: 1}) {
		t.Errorf("%+v, want one push", got)
	}
}

// TestManySeries needs several requests.
func TestManySeries(t *testing.T) {
	r, err := metrics.New(metrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range metrics.DefaultMaxSeries {
		tr := tracetest.Complete(1)
		for j := range tr.Spans {
			if d := tr.Spans[j].Device; d != nil {
				tr.Spans[j].Device = &trace.Device{NetNS: d.NetNS, Name: fmt.Sprint(d.Name, i)}
			}
		}
		r.Record(tr, true)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	s := serve(t, ok)
	p := start(t, otlpmetrics.Options{Gatherer: registry, Endpoint: s.address})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	points := 0
	for _, r := range s.received() {
		for _, m := range r.ScopeMetrics[0].Metrics {
			points += len(m.GetHistogram().GetDataPoints())
		}
	}
	if want := metrics.DefaultMaxSeries + 1; points != want { // and one of dwell.ping.duration
		t.Errorf("%d histograms arrived, want %d", points, want)
	}
	if got := p.Stats().Pushed; got < 2 {
		t.Errorf("%d requests, want several", got)
	}
}

type broken struct{ prometheus.Gatherer }

func (b broken) Gather() ([]*dto.MetricFamily, error) {
	families, _ := b.Gatherer.Gather()
	return families, errors.New("a collector is broken")
}

func TestWhatCanBeGatheredIsPushed(t *testing.T) {
	s := serve(t, ok)
	p := start(t, otlpmetrics.Options{Gatherer: broken{filled(t, metrics.Options{})}, Endpoint: s.address})
	if err := p.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "a collector is broken") {
		t.Errorf("Shutdown says %v", err)
	}
	if byName(s.received())["dwell.pings"] == nil {
		t.Error("dwell.pings was not pushed")
	}
	if got := p.Stats(); got != (otlpmetrics.Stats{Pushed: 1, Failed: 1}) {
		t.Errorf("%+v, want one push and one failure", got)
	}
}

func TestEndpoint(t *testing.T) {
	_, err := otlpmetrics.Start(otlpmetrics.Options{Endpoint: "ftp://x"})
	if err == nil || !strings.HasPrefix(err.Error(), "metrics.otlp.endpoint: ") {
		t.Errorf("%v, want an error that names the setting", err)
	} else if early := otlpmetrics.CheckEndpoint("ftp://x", ""); early == nil || early.Error() != err.Error() {
		t.Errorf("CheckEndpoint says %v, and Start %v", early, err)
	}
	s := serve(t, ok)
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", s.address)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:1")
	p := start(t, otlpmetrics.Options{Gatherer: filled(t, metrics.Options{})})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
