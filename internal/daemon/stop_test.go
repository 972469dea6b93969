// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/sampling"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tally"
)

// stoppable returns a daemon without an agent, whose end may take so long.
func stoppable(t *testing.T, limit time.Duration) (*daemon, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil))}
	d.config.Shutdown.Timeout = config.Duration(limit)
	d.sinks = newSinks(otlpOptions(), d.log)
	var err error
	if d.sampler, err = sampling.New(sampling.Options{Ratio: 1}, d.sinks); err != nil {
		t.Fatal(err)
	}
	return d, &log
}

// An agent that does not end is given up, and what is known of it is told.
func TestAgentIsGivenUp(t *testing.T) {
	d, log := stoppable(t, time.Millisecond)
	ended := false
	err := d.stop(func() { ended = true }, make(chan result))
	if err == nil || !strings.Contains(err.Error(), "giving up") || !ended {
		t.Errorf("%v, told to end: %t", err, ended)
	}
	if !strings.Contains(log.String(), "msg=stopped pings=0") {
		t.Errorf("log: %s", log)
	}
}

// What is lost at the end is an error, what was lost long ago is none.
func TestLossAtTheEnd(t *testing.T) {
	d, log := stoppable(t, time.Minute)
	long := exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseQueueFull: {Traces: 9, Spans: 99}}}
	lossy := &fake{stats: long}
	d.sinks.endpoint.swap(lossy)
	d.sinks.endpointIs.to = "a:1"
	done := make(chan result, 1)
	end := func() {
		done <- result{summary: agent.Summary{Counts: tally.Counts{Complete: 3}, Kernel: bpf.Stats{Missed: 4}}}
	}
	if err := d.stop(end, done); err != nil {
		t.Errorf("of a loss long ago: %v", err)
	}
	err := d.stop(func() {
		lossy.mu.Lock()
		defer lossy.mu.Unlock()
		lossy.stats = lossy.stats.Plus(exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseShutdown: {Traces: 2, Spans: 4}}})
		end()
	}, done)
	if err == nil || !strings.Contains(err.Error(), "2 traces (4 spans) were lost on shutdown") || !strings.Contains(err.Error(), "export.spool.dir") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "pings=3 complete=3") || !strings.Contains(log.String(), "queue_full: 9 traces (99 spans)") ||
		!strings.Contains(log.String(), `losses="4 events missed because`) {
		t.Errorf("log: %s", log)
	}
}
