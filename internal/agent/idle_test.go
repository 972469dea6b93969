// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/agent"
)

// timed is an exporter whose figures follow the clock.
type timed struct {
	exporter.Exporter
	stats func() exporter.Stats
}

func (t timed) Stats() exporter.Stats { return t.stats() }

// spans makes the count of one trace.
func spans(n int64) exporter.Count { return exporter.Count{Traces: 1, Spans: n} }

func TestIdleTimeout(t *testing.T) {
	const timeout, run = 5 * time.Second, time.Minute
	for _, tt := range []struct {
		name string
		// stats are what the exporter says so long after the end of the run.
		stats func(after time.Duration) exporter.Stats
		want  time.Duration
	}{
		{"stuck", func(time.Duration) exporter.Stats { return exporter.Stats{} }, timeout},
		{"slow, but it goes on, then stuck", func(after time.Duration) exporter.Stats {
			return exporter.Stats{Sent: spans(int64(min(after, 10*time.Minute) / (4 * time.Second)))}
		}, 10*time.Minute + timeout},
		{"only loses", func(after time.Duration) exporter.Stats {
			return exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseQueueFull: spans(int64(after))}}
		}, timeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				over, end := context.WithCancel(t.Context())
				e := timed{stats: func() exporter.Stats { return tt.stats(time.Since(begin) - run) }}
				ctx, stop := agent.WithIdleTimeout(over, e, timeout)
				defer stop()
				time.AfterFunc(run, end)
				<-ctx.Done()
				if took := time.Since(begin) - run; took < tt.want || took > tt.want+timeout/10 {
					t.Errorf("given up %v after the end, want %v", took, tt.want)
				}
			})
		})
	}
}

// Nothing is left running, whenever it is stopped; the bubble would not end otherwise.
func TestIdleTimeoutIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := timed{stats: func() exporter.Stats { return exporter.Stats{} }}
		over, end := context.WithCancel(t.Context())
		running, stopRunning := agent.WithIdleTimeout(over, idle, time.Hour)
		_, stopNone := agent.WithIdleTimeout(over, nil, time.Hour)
		stopRunning()
		stopNone()
		ended, stopEnded := agent.WithIdleTimeout(over, idle, time.Hour)
		end()
		synctest.Wait()
		if running.Err() == nil || ended.Err() != nil {
			t.Errorf("stopped: %v; over, but not for long: %v", running.Err(), ended.Err())
		}
		stopEnded()
	})
}
