// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// configuration of the agent: lab, endpoint, where it serves HTTP.
const configuration = `
trace:
  netns: ["%[1]s-*"]
  hypervisors: ["%[1]s-bridge-hypervisor"]
  netfilter: [none]
export:
  otlp: {endpoint: "http://%[2]s"}
http: {listen: "%[3]s"}
log: {level: warn}
`

// readyIn is how long the agent may take to begin.
const readyIn = 30 * time.Second

// agent is dwell agent as a process.
type agent struct {
	cmd  *exec.Cmd
	url  string
	dir  string
	done chan error
}

func startAgent(ctx context.Context, program, prefix, endpoint string, stderr io.Writer) (*agent, error) {
	dir, err := os.MkdirTemp("", "dwell-soak-")
	if err != nil {
		return nil, err
	}
	listen, err := freeAddress()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	file := filepath.Join(dir, "dwell.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, prefix, endpoint, listen), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	a := &agent{url: "http://" + listen, dir: dir, done: make(chan error, 1)}
	a.cmd = exec.Command(program, "agent", "--config", file)
	a.cmd.Stderr = stderr
	if err := a.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() { a.done <- a.cmd.Wait() }()
	if err := a.await(ctx); err != nil {
		return nil, errors.Join(err, a.stop())
	}
	return a, nil
}

// freeAddress returns one on which nobody listens just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until the agent says that it is ready.
func (a *agent) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := a.get(ctx, "/readyz"); err == nil {
			return nil
		}
		select {
		case err := <-a.done:
			a.done <- err
			return fmt.Errorf("dwell agent ended at once: %w", err)
		case <-ctx.Done():
			return errors.New("dwell agent is not ready")
		case <-tick.C:
		}
	}
}

func (a *agent) get(ctx context.Context, path string) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	if path != "/metrics" {
		return nil, nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(resp.Body)
}

// sample asks the agent for its own metrics.
func (a *agent) sample(ctx context.Context) (sample, error) {
	families, err := a.get(ctx, "/metrics")
	if err != nil {
		return sample{}, fmt.Errorf("metrics of dwell agent: %w", err)
	}
	value := func(name string) (sum float64) {
		f := families[name]
		if f == nil {
			err = errors.Join(err, fmt.Errorf("dwell agent has no metric %s", name))
		}
		for _, m := range f.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
		return sum
	}
	s := sample{
		rss: value("process_resident_memory_bytes"), heap: value("go_memstats_heap_alloc_bytes"),
		goroutines: value("go_goroutines"), files: value("process_open_fds"), open: value("dwell_agent_traces_open"),
		traced: value("dwell_pings_total"), lost: value("dwell_agent_events_lost_total") + value("dwell_agent_events_missed_total"),
		queued: value("dwell_agent_export_spans_queued"),
	}
	return s, err
}

// caughtUp waits until the agent has traced so many pings and has sent their spans.
func (a *agent) caughtUp(ctx context.Context, sent int) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := a.sample(ctx)
		if err != nil {
			return s, err
		}
		if s.sent = sent; s.traced >= float64(sent) && s.queued == 0 {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("of %d pings dwell agent has traced %.0f, and has %.0f spans to send: %w",
				sent, s.traced, s.queued, ctx.Err())
		case <-tick.C:
		}
	}
}

// stop ends the agent in good order.
func (a *agent) stop() error {
	_ = a.cmd.Process.Signal(os.Interrupt)
	return errors.Join(<-a.done, os.RemoveAll(a.dir))
}
