// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net"
	"sync"
	"testing"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
)

// counting is an OTLP endpoint that counts requests.
type counting struct {
	colmetricspb.UnimplementedMetricsServiceServer
	came chan struct{}
}

func (c counting) Export(context.Context, *colmetricspb.ExportMetricsServiceRequest) (*colmetricspb.ExportMetricsServiceResponse, error) {
	c.came <- struct{}{}
	return &colmetricspb.ExportMetricsServiceResponse{}, nil
}

// collector returns the address of an endpoint, and a channel with one element a request.
func collector(t *testing.T) (string, chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, g := counting{came: make(chan struct{}, 1000)}, grpc.NewServer()
	colmetricspb.RegisterMetricsServiceServer(g, c)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(listener) }) // ends with Stop
	t.Cleanup(func() {
		g.Stop()
		serving.Wait()
	})
	return "http://" + listener.Addr().String(), c.came
}

func newTelemetry(log *logBuffer) *telemetry {
	m := &telemetry{log: newLogger(log), resource: otlpOptions()}
	m.read = func() metrics.AgentStats { return metrics.AgentStats{MetricPushes: m.pushes().Pushed} }
	return m
}

// setTelemetry carries out what a configuration asks for.
func setTelemetry(t *testing.T, m *telemetry, text string) error {
	t.Helper()
	p, err := m.prepare(parse(t, text+"\n"))
	if err != nil {
		return err
	}
	return p.carryOut(t.Context())
}

// Pushes begin, move to another endpoint and end as the configuration says, each time with
// a last one, and their number goes on. What does not concern them does not disturb them.
func TestPushesFollowTheConfiguration(t *testing.T) {
	log := &logBuffer{}
	one, atOne := collector(t)
	other, atOther := collector(t)
	m := newTelemetry(log)
	to := func(address, interval string) string {
		return "metrics: {otlp: {enabled: true, endpoint: \"" + address + "\", interval: " + interval + "}}"
	}
	for i, step := range []struct {
		text      string
		exchanged bool
		pushing   bool
	}{
		{"", false, false},
		{to(one, "1h"), true, true},
		{to(one, "1h") + "\nlog: {level: debug}", false, true},
		{to(one, "2h"), true, true},
		{to(other, "2h"), true, true},
		{"", true, false},
		{"", false, false},
		{to(one, "1h"), true, true},
	} {
		before := m.pusher
		if err := setTelemetry(t, m, step.text); err != nil {
			t.Fatal(err)
		}
		if (m.pusher != before) != step.exchanged || (m.pusher != nil) != step.pushing {
			t.Errorf("step %d: exchanged: %v, pushing: %v", i, m.pusher != before, m.pusher != nil)
		}
	}
	m.stop(t.Context())
	// At one: with each interval, and at the end.
	if got := m.pushes(); got != (otlpmetrics.Stats{Pushed: 4}) || len(atOne) != 3 || len(atOther) != 1 {
		t.Errorf("%+v, %d and %d came", got, len(atOne), len(atOther))
	}
	if text := log.String(); text != "" {
		t.Errorf("logged:\n%s", text)
	}
	m.stop(t.Context()) // twice is once
}

// A last push that does not get through is logged, and counted.
func TestLastPushFails(t *testing.T) {
	log := &logBuffer{}
	m := newTelemetry(log)
	if err := setTelemetry(t, m, "metrics: {otlp: {enabled: true, endpoint: \"http://127.0.0.1:1\", interval: 1h}}"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.stop(ctx)
	says(t, log.String(), "level=WARN")
	if m.pusher != nil || m.pushes().Pushed != 0 {
		t.Errorf("%+v", m.pushes())
	}
}

// What counts is made anew, at zero, if it is made of something else now, and else goes
// on counting.
func TestCountersAreExchanged(t *testing.T) {
	m := newTelemetry(&logBuffer{})
	const base = "metrics: {max_series: 9}"
	if err := setTelemetry(t, m, base); err != nil {
		t.Fatal(err)
	}
	for text, exchanged := range map[string]bool{
		base: false, base + "\nsampling: {ratio: 0.5}": false, "metrics: {max_series: 9, prometheus: {enabled: false}}": false,
		"metrics: {max_series: 8}": true, "metrics: {max_series: 9, expire: 2h}": true, "metrics: {max_series: 9, buckets: [1ms]}": true,
	} {
		before := m.counter.Load()
		before.recorder.Record(pings(1)[0], true)
		if err := setTelemetry(t, m, text); err != nil {
			t.Fatal(err)
		}
		if (m.counter.Load() != before) != exchanged {
			t.Errorf("%s: exchanged: %v", text, !exchanged)
		}
		if counted := pingsCounted(t, m); (counted == 0) != exchanged {
			t.Errorf("%s: %v pings are counted", text, counted)
		}
		if err := setTelemetry(t, m, base); err != nil {
			t.Fatal(err)
		}
	}
}

func pingsCounted(t *testing.T, m *telemetry) (sum float64) {
	t.Helper()
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "dwell_pings_total" {
			for _, series := range f.Metric {
				sum += series.Counter.GetValue()
			}
		}
	}
	return sum
}

// gathered returns the number of series of each metric, all of which say of which host.
func gathered(t *testing.T, m *telemetry) map[string]int {
	t.Helper()
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.Metric)
		for _, one := range f.Metric {
			host := ""
			for _, l := range one.Label {
				if l.GetName() == "host_name" {
					host = l.GetValue()
				}
			}
			if host != "name" && f.GetName() != "target_info" {
				t.Errorf("%s is of host %q", f.GetName(), host)
			}
		}
	}
	return series
}

// Beside pings, the agent, the Go runtime and the process are shown.
func TestWhatIsShown(t *testing.T) {
	m := newTelemetry(&logBuffer{})
	if err := setTelemetry(t, m, ""); err != nil {
		t.Fatal(err)
	}
	series := gathered(t, m)
	for _, name := range []string{"dwell_agent_events_total", "dwell_agent_metrics_pushes_total", "go_goroutines", "process_open_fds"} {
		if series[name] == 0 {
			t.Errorf("%s is not shown", name)
		}
	}
}
