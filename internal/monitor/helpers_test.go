// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"encoding/binary"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/monitor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the made-up pings begin.
var start = time.Date(2026, 1, 2, 15, 4, 0, 0, time.UTC)

// at returns a trace that ends then, slower than it was by a factor in percent, and is the
// nth.
func at(t *trace.Trace, end time.Time, percent int64, n int) *trace.Trace {
	begin := t.Root().Start
	stretch := func(at int64) int64 { return begin + (at-begin)*percent/100 }
	for i := range t.Spans {
		s := &t.Spans[i]
		s.Start, s.End = stretch(s.Start), stretch(s.End)
		for j := range s.Events {
			s.Events[j].Time = stretch(s.Events[j].Time)
		}
	}
	t.Rebase(end.UnixNano() - t.Root().End)
	binary.BigEndian.PutUint64(t.ID[8:], uint64(n)+1)
	return t
}

// nth makes the nth ping: most are complete, and each a little different.
func nth(n int, end time.Time) *trace.Trace {
	seq := uint16(n)
	switch {
	case n%50 == 17:
		return at(tracetest.Dropped(seq), end, 100, n)
	case n%50 == 33:
		return at(tracetest.NoReply(seq), end, 100, n)
	}
	wave := []int64{0, 3, 11, 7, 30, 18, 5, 44, 12, 21}
	percent := 90 + wave[n%len(wave)]
	if n%97 == 5 {
		percent *= 4
	}
	return at(tracetest.Complete(seq), end, percent, n)
}

// view is a model that is fed by hand.
type view struct {
	*monitor.Model
	now time.Time
	n   int
}

func newView(o monitor.Options, width, height int) *view {
	if o.Backend == "" {
		o.Backend = "unix:///run/dwell/agent.sock"
	}
	o.Start = start
	v := &view{Model: monitor.New(o), now: start}
	v.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return v
}

// connect opens the stream; the agent has counted so many pings.
func (v *view) connect(s *api.Summary) {
	v.Update(monitor.Connected{At: v.now, Clock: v.now})
	v.Update(monitor.Counted{At: v.now, Summary: s})
}

func summary(total uint64) *api.Summary {
	began := start.Add(-time.Hour)
	s := &api.Summary{Pings: api.Counts{Total: total, ByOutcome: map[string]uint64{"complete": total}}}
	if total > 0 {
		s.Since = &began
		s.RTT = api.Times{Count: total, P50: 41_000, P99: 80_000, Max: 1_200_000}
		s.Devices = []api.Device{
			{NetNS: "hypervisor", Kind: "hypervisor", Device: "ens3", Direction: "request", Times: api.Times{Count: total, P50: 7_300, P99: 12_100, Max: 90_000}},
			{NetNS: "hypervisor", Kind: "forward", Device: "ens3", Direction: "request", Parent: "hypervisor", Times: api.Times{Count: total, P50: 5_300, P99: 9_100, Max: 80_000}},
		}
	}
	return s
}

// pings lets time pass, with so many pings a second.
func (v *view) pings(perSecond int, d time.Duration) {
	const batches = 10
	for end := v.now.Add(d); v.now.Before(end); {
		v.now = v.now.Add(time.Second / batches)
		var traces []*trace.Trace
		for due := int(v.now.Sub(start)) * perSecond / int(time.Second); v.n < due; v.n++ {
			traces = append(traces, nth(v.n, v.now))
		}
		if len(traces) > 0 {
			v.Update(monitor.Batch{At: v.now, Traces: traces})
		}
	}
	v.Update(monitor.Tick(v.now))
}

// press types keys, by their names.
func (v *view) press(keys ...string) tea.Cmd {
	var cmd tea.Cmd
	for _, k := range keys {
		_, cmd = v.Update(press(k))
	}
	return cmd
}

func press(name string) tea.KeyPressMsg {
	special := map[string]rune{
		"up": tea.KeyUp, "down": tea.KeyDown, "enter": tea.KeyEnter, "esc": tea.KeyEscape,
		"backspace": tea.KeyBackspace, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome,
	}
	if code, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	if name == "space" {
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	}
	if rest, ok := cutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(rest[0]), Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}
