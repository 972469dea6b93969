// SPDX-License-Identifier: Apache-2.0

// Package collectortest runs a real OpenTelemetry Collector for tests: it receives
// OTLP and writes what it received to files, one for each signal, and one for the graph of
// services that it draws of the traces.
package collectortest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/dwelltrace/dwell/internal/check/otelcoltest"
)

// Collector is a running Collector.
type Collector struct {
	// GRPC and HTTP are the addresses at which it takes OTLP.
	GRPC, HTTP string

	cmd *exec.Cmd
	log *bytes.Buffer
	// traces, metrics and graph are the files to which it writes.
	traces, metrics, graph string
	// logged is closed when the log has ended.
	logged chan struct{}
}

const config = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:0"}
      http: {endpoint: "127.0.0.1:0"}
exporters:
  file/traces: {path: %q}
  file/metrics: {path: %q}
  file/graph: {path: %q}
connectors:
  servicegraph: {metrics_flush_interval: 0s} # after each request
service:
  telemetry:
    metrics: {level: none}
    logs: {encoding: json}
  pipelines:
    traces: {receivers: [otlp], exporters: [file/traces, servicegraph]}
    metrics/graph: {receivers: [servicegraph], exporters: [file/graph]}
    metrics: {receivers: [otlp], exporters: [file/metrics]}
`

// Start starts a Collector on free loopback ports and waits until it is ready. It
// ends with the test at the latest.
func Start(t testing.TB) *Collector {
	t.Helper()
	dir := t.TempDir()
	c := &Collector{
		log: new(bytes.Buffer), logged: make(chan struct{}),
		traces: filepath.Join(dir, "traces.jsonl"), metrics: filepath.Join(dir, "metrics.jsonl"),
		graph: filepath.Join(dir, "graph.jsonl"),
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, c.traces, c.metrics, c.graph), 0o600); err != nil {
		t.Fatal(err)
	}
	c.cmd = exec.Command(otelcoltest.Binary(t), "--config", file)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test panics
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it has mostly ended
		<-c.logged
		_ = c.cmd.Wait() // killed
	})
	c.waitUntilReady(t, stderr)
	return c
}

// waitUntilReady reads the log up to the line that says so, with the addresses on
// the way, and leaves the rest to be read beside the test.
func (c *Collector) waitUntilReady(t testing.TB, stderr io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(io.TeeReader(stderr, c.log))
	defer func() {
		go func() {
			defer close(c.logged)
			for lines.Scan() {
			}
		}()
	}()
	for lines.Scan() {
		var line struct{ Msg, Endpoint string }
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // not every line is of the logger
		}
		switch {
		case line.Msg == "Starting GRPC server":
			c.GRPC = line.Endpoint
		case line.Msg == "Starting HTTP server":
			c.HTTP = line.Endpoint
		case strings.HasPrefix(line.Msg, "Everything is ready"):
			return
		}
	}
	t.Fatalf("the Collector did not get ready:\n%s", c.log)
}

// Stop ends the Collector in good order and returns the spans that it received.
func (c *Collector) Stop(t testing.TB) []*tracepb.ResourceSpans {
	t.Helper()
	c.end(t)
	var all []*tracepb.ResourceSpans
	for _, line := range lines(t, c.traces) {
		all = append(all, decode(t, line)...)
	}
	return all
}

// StopMetrics is Stop for metrics: what each request had, in their order.
func (c *Collector) StopMetrics(t testing.TB) []*metricspb.ResourceMetrics {
	t.Helper()
	c.end(t)
	var all []*metricspb.ResourceMetrics
	for _, line := range lines(t, c.metrics) {
		all = append(all, decodeMetrics(t, line)...)
	}
	return all
}

// Edge leads from one service to another in the graph of services.
type Edge struct{ Client, Server string }

// StopGraph is Stop for the graph of services: how many requests went along each edge.
func (c *Collector) StopGraph(t testing.TB) map[Edge]int64 {
	t.Helper()
	c.end(t)
	edges := make(map[Edge]int64)
	for _, line := range lines(t, c.graph) {
		for _, rm := range decodeMetrics(t, line) {
			addEdges(edges, rm) // counts grow, so that the last one stays
		}
	}
	return edges
}

func (c *Collector) end(t testing.TB) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.logged
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("the Collector ended with %v:\n%s", err, c.log)
	}
}
