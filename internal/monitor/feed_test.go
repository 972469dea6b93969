// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/monitor"
)

// agent is a made-up backend: each stream is a list of what it says, after which it ends.
type agent struct {
	streams atomic.Int32
	// serve returns what the nth stream says, or why there is none.
	serve func(n int) ([]said, error)
	// total is what the agent has counted, 1 if nil.
	total func() uint64
}

type said struct {
	line []byte
	note *api.Note
}

func (a *agent) Summary(context.Context) (*api.Summary, error) {
	if a.total == nil {
		return summary(1), nil
	}
	return summary(a.total()), nil
}

func (a *agent) Stream(context.Context) (monitor.Stream, error) {
	list, err := a.serve(int(a.streams.Add(1)))
	if err != nil {
		return nil, err
	}
	return &replay{list}, nil
}

type replay struct{ left []said }

func (l *replay) Next() ([]byte, *api.Note, error) {
	if len(l.left) == 0 {
		return nil, nil, io.EOF
	}
	one := l.left[0]
	l.left = l.left[1:]
	return one.line, one.note, nil
}

func (l *replay) Close() {}

func lineOf(t *testing.T, tr *trace.Trace) []byte {
	t.Helper()
	b, err := otlpfile.NewEncoder(otlp.Options{}).Append(nil, []*trace.Trace{tr})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func note() said { return said{note: &api.Note{Time: start}} }

// collect runs a feed until done says that it has seen enough.
func collect(t *testing.T, a *agent, keep bool, done func(monitor.Message) bool) ([]monitor.Message, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []monitor.Message
	f := monitor.Feed{Backend: a, Now: time.Now, KeepLines: keep, Handle: func(m monitor.Message) {
		if got = append(got, m); done(m) {
			cancel()
		}
	}}
	err := f.Run(ctx)
	return got, err
}

// What the agent says becomes messages in the same order, and when the stream is over, the
// feed opens the next.
func TestFeed(t *testing.T) {
	a := &agent{serve: func(n int) ([]said, error) {
		switch n {
		case 1:
			return []said{note(), {line: lineOf(t, nth(1, start))}, {line: []byte("{}}")}, {note: &api.Note{Lost: 12}}, {line: lineOf(t, nth(2, start))}}, nil
		case 2:
			return nil, errors.New("nobody listens")
		}
		return []said{note(), {note: &api.Note{End: &api.Problem{Code: api.CodeStopping}}}}, nil
	}}
	gone := 0
	got, err := collect(t, a, true, func(m monitor.Message) bool {
		if _, ok := m.(monitor.Gone); ok {
			gone++
		}
		return gone == 3
	})
	if err != nil {
		t.Fatal(err)
	}
	var traces, unread, lost, connected, lines int
	var why []string
	for _, m := range got {
		switch m := m.(type) {
		case monitor.Connected:
			connected++
		case monitor.Batch:
			traces += len(m.Traces)
			lines += len(m.Lines)
			unread += int(m.Unread)
			lost += int(m.Lost)
		case monitor.Gone:
			why = append(why, m.Err.Error())
		}
	}
	if traces != 2 || lines != 2 || unread != 1 || lost != 12 || connected != 2 {
		t.Errorf("%d traces, %d lines, %d unread, %d lost, %d times connected", traces, lines, unread, lost, connected)
	}
	want := []string{"the agent closed the connection", "nobody listens", "the agent was stopped"}
	for i := range want {
		if why[i] != want[i] {
			t.Errorf("gone because %q, want %q", why[i], want[i])
		}
	}
	if _, ok := got[0].(monitor.Connected); !ok {
		t.Errorf("first came %T", got[0])
	}
	if _, ok := got[1].(monitor.Counted); !ok {
		t.Errorf("then came %T", got[1])
	}
}

// Who cannot connect at all is told so at once.
func TestFirstAttempt(t *testing.T) {
	refused := errors.New("not yours")
	a := &agent{serve: func(int) ([]said, error) { return nil, refused }}
	if _, err := collect(t, a, false, func(monitor.Message) bool { return false }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if n := a.streams.Load(); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// A right that was taken back is told in the agent's words.
func TestRevoked(t *testing.T) {
	a := &agent{serve: func(int) ([]said, error) {
		return []said{note(), {note: &api.Note{End: &api.Problem{Code: api.CodeRevoked, Message: "the tenant is gone"}}}}, nil
	}}
	got, err := collect(t, a, false, func(m monitor.Message) bool { _, ok := m.(monitor.Gone); return ok })
	if err != nil {
		t.Fatal(err)
	}
	if gone, ok := got[len(got)-1].(monitor.Gone); !ok || gone.Err.Error() != "the agent no longer lets you see these pings: the tenant is gone" {
		t.Errorf("%+v", got[len(got)-1])
	}
}

// What passed while the agent was gone is counted; what comes twice is handed on once.
func TestMissed(t *testing.T) {
	total := []uint64{100, 121}
	a := &agent{serve: func(n int) ([]said, error) {
		if n == 1 {
			return []said{note(), {line: lineOf(t, nth(1, start.Add(time.Second)))}}, nil
		}
		clock := start.Add(time.Minute)
		return []said{{note: &api.Note{Time: clock}}, {line: lineOf(t, nth(1, start.Add(time.Second)))}, {line: lineOf(t, nth(2, clock.Add(-time.Second)))}}, nil
	}}
	a.total = func() uint64 { return total[min(int(a.streams.Load()), len(total))-1] }
	gone := 0
	got, err := collect(t, a, true, func(m monitor.Message) bool {
		if _, ok := m.(monitor.Gone); ok {
			gone++
		}
		return gone == 2
	})
	if err != nil {
		t.Fatal(err)
	}
	var missed, old uint64
	traces, lines := 0, 0
	for _, m := range got {
		switch m := m.(type) {
		case monitor.Counted:
			missed += m.Missed
		case monitor.Batch:
			old += m.Old
			traces += len(m.Traces)
			lines += len(m.Lines)
		}
	}
	if missed != 20 || old != 1 || traces != 2 || lines != 2 {
		t.Errorf("%d missed, %d of them came later; %d traces, %d lines", missed, old, traces, lines)
	}
}
