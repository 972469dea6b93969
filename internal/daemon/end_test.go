// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/config"
)

// An exporter that does not end by itself is ended in time, so that the agent need not be
// given up.
func TestExportersEndInTime(t *testing.T) {
	l := live(t, "shutdown: {timeout: 50ms}\n")
	l.sinks.endpoint.swap(&fake{onShutdown: func(ctx context.Context) { <-ctx.Done() }})
	if err := l.stop(); err != nil {
		t.Error(err)
	}
}

// The last thing that is pushed is how it ended.
func TestLastPushAtTheEnd(t *testing.T) {
	address, came := collector(t)
	l := live(t, "metrics: {otlp: {enabled: true, endpoint: \""+address+"\", interval: 1h}}\n")
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	if len(came) != 1 {
		t.Errorf("%d requests came", len(came))
	}
}

// A setting that has no effect is logged at the start and at each reload.
func TestWarningsAreLogged(t *testing.T) {
	const text = "export: {spool: {dir: /tmp}}\n"
	l := live(t, text)
	says(t, l.log.String(), "level=WARN", "export.spool.dir")
	says(t, l.reload(text), "level=WARN", "export.spool.dir")
}

// An error that was logged is still the error that it is.
func TestLoggedErrorIsItself(t *testing.T) {
	d := &daemon{log: quiet(), config: config.Config{Log: config.Log{Format: config.JSON}}}
	err := errors.New("gone")
	if logged := d.logError(err); !errors.Is(logged, err) {
		t.Errorf("%v is not %v", logged, err)
	}
	if logged := d.logError(nil); logged != nil {
		t.Errorf("%v", logged)
	}
}

// An exemplar leads to a trace, so that only a trace that is sent is one.
func TestExemplarsAreOfWhatIsSent(t *testing.T) {
	file := "export: {file: " + t.TempDir() + "/f}\n"
	for text, want := range map[string]bool{
		"": false, file: true, file + "sampling: {at: export, ratio: 0}\n": false,
		file + "sampling: {at: export, ratio: 0, keep_slower_than: 1ns}\n": true,
	} {
		l := live(t, text)
		ping := complete()
		ping.Root().End = ping.Root().Start + 1000
		ping.Spans[1].Events = []trace.Event{{Name: trace.EventDrop}} // a copy died: it is counted with an exemplar
		l.agent.see(t, ping)
		if got := hasExemplar(t, l.telemetry); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// hasExemplar reports whether any count has one.
func hasExemplar(t *testing.T, m *telemetry) bool {
	t.Helper()
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, series := range f.Metric {
			if series.Counter.GetExemplar() != nil {
				return true
			}
		}
	}
	return false
}
