// SPDX-License-Identifier: Apache-2.0

// Package collectortest runs a real OpenTelemetry Collector for tests: it receives
// OTLP and writes what it received to a file.
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

	"go.opentelemetry.io/collector/pdata/ptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/internal/otelcoltest"
)

// Collector is a running Collector.
type Collector struct {
	// GRPC and HTTP are the addresses at which it takes OTLP.
	GRPC, HTTP string

	cmd    *exec.Cmd
	log    *bytes.Buffer
	output string
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
  file: {path: %q}
service:
  telemetry:
    metrics: {level: none}
    logs: {encoding: json}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
`

// Start starts a Collector on free loopback ports and waits until it is ready. It
// ends with the test at the latest.
func Start(t testing.TB) *Collector {
	t.Helper()
	dir := t.TempDir()
	c := &Collector{log: new(bytes.Buffer), output: filepath.Join(dir, "received.jsonl"), logged: make(chan struct{})}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, c.output), 0o600); err != nil {
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

// Stop ends the Collector in good order and returns what it received.
func (c *Collector) Stop(t testing.TB) []*tracepb.ResourceSpans {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.logged
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("the Collector ended with %v:\n%s", err, c.log)
	}
	text, err := os.ReadFile(c.output)
	if err != nil {
		t.Fatal(err)
	}
	var all []*tracepb.ResourceSpans
	for line := range bytes.Lines(text) {
		all = append(all, decode(t, line)...)
	}
	return all
}

// decode reads a line of OTLP/JSON with the Collector's own decoder.
func decode(t testing.TB, line []byte) []*tracepb.ResourceSpans {
	t.Helper()
	traces, err := (&ptrace.JSONUnmarshaler{DisallowUnknownFields: true}).UnmarshalTraces(line)
	if err != nil {
		t.Fatal(err)
	}
	binary, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		t.Fatal(err)
	}
	var data tracepb.TracesData
	if err := proto.Unmarshal(binary, &data); err != nil {
		t.Fatal(err)
	}
	return data.ResourceSpans
}
