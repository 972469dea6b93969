// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/loss"
)

// A loss is logged at the next beat with its number, and nothing while nothing is lost.
func TestEachLossIsLogged(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	var l lossLog
	var total loss.Counts
	now := time.Unix(1_767_225_600, 0)
	for i, row := range loss.Table() {
		l.log(log, now, total)
		if text.Len() > 0 {
			t.Errorf("with nothing lost: %s", &text)
		}
		*row.Of(&total) += uint64(10 + i)
		l.log(log, now, total)
		want := fmt.Sprintf("lost=\"%d %s\"\n", 10+i, row.Sentence)
		if got := text.String(); !strings.Contains(got, "level=WARN ") || !strings.HasSuffix(got, want) {
			t.Errorf("logged %q, want a warning that ends with %q", got, want)
		}
		text.Reset()
		now = now.Add(lossPause)
	}
}

// What the agent has lost is in the log at the next beat and in the metrics.
func TestLossesOfTheAgentAreShown(t *testing.T) {
	d, text := stoppable(t, time.Minute)
	d.telemetry = &telemetry{}
	status := agent.Status{Summary: agent.Summary{Kernel: bpf.Stats{Malformed: 3}}}
	if err := d.report(health{phase: running, agent: status}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(text.String(), `lost="3 records that could not be decoded"`) {
		t.Errorf("log: %s", text)
	}
	if diff := cmp.Diff(loss.Counts{Malformed: 3}, d.statsOf(status).Losses); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// What goes on being lost is logged ever more rarely, all kinds in one line, and nothing
// of it is left out.
func TestLossesGoOn(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	var l lossLog
	var total loss.Counts
	const beats = 24 * 60 * 6
	begin := time.Unix(1_767_225_600, 0)
	at := func(beat int) time.Time { return begin.Add(time.Duration(beat) * 10 * time.Second) }
	for i := range beats {
		total.RingFull += 2
		total.Late++
		l.log(log, at(i), total)
	}
	lines := strings.Count(text.String(), "\n")
	if lines < 24 || lines > 30 {
		t.Errorf("%d lines in a day", lines)
	}
	if l.logged.RingFull != 2*l.logged.Late || l.logged.RingFull < total.RingFull-2*360 {
		t.Errorf("of %+v only %+v is logged", total, l.logged)
	}
	// After a pause without loss, the next is logged at once, and so on.
	quiet := beats + 2*360
	l.log(log, at(quiet-1), total) // tells of the rest
	l.log(log, at(quiet+360), total)
	text.Reset()
	for i := range 13 {
		total.Evicted++
		l.log(log, at(quiet+361+i), total)
	}
	if got := strings.Count(text.String(), "\n"); got != 2 {
		t.Errorf("%d lines in 2 minutes, want 2 (the third after 3):\n%s", got, &text)
	}
}
