// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp/otlpread"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Backend is an agent's API, as one tenant sees it or the operator.
type Backend interface {
	// Summary says what was counted so far.
	Summary(ctx context.Context) (*api.Summary, error)
	// Stream opens the stream of traces, which begins with some of the last ones.
	Stream(ctx context.Context) (Stream, error)
}

// Stream is the traces as they come.
type Stream interface {
	// Next waits for a line or for a note, and returns one of both. The line is valid until the
	// next call. io.EOF says that the connection ended. Next fails, too, if there is neither
	// for longer than there should be.
	Next() (line []byte, note *api.Note, err error)
	Close()
}

// The times of a feed.
const (
	// every is how often batches are handed on at most.
	every = 100 * time.Millisecond
	// firstRetry and lastRetry are the shortest and the longest time between two attempts.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Feed reads the stream of a backend for as long as it is run.
type Feed struct {
	Backend Backend
	// Handle is given what comes, one message after another. It may wait: the feed reads no further
	// meanwhile, and the agent counts what it cannot send.
	Handle func(Message)
	// Now reads the clock.
	Now func() time.Time
	// Filtered is set if the stream has not all pings, so that those that passed while the agent was gone cannot be
	// counted.
	Filtered bool
	// KeepLines has batches contain the lines that they were read from.
	KeepLines bool

	recent recent
	ledger ledger
	// opened is when the stream began, first when the first one did, on the agent's clock.
	opened, first time.Time
}

// Message is one of Connected, Batch, Counted and Gone.
type Message any

// Connected says that a stream is open.
type Connected struct {
	At time.Time
	// Clock is the agent's, at that time.
	Clock time.Time
}

// Batch is what came within a moment.
type Batch struct {
	At time.Time
	// Traces are in the order in which they came, on the agent's clock. None comes twice.
	Traces []*trace.Trace
	// Lines are what they were read from, without newlines, if they are kept.
	Lines [][]byte
	// Lost counts lines that the agent could not send, Unread those that are not traces; Err
	// says what was wrong with the last of those.
	Lost, Unread uint64
	Err          error
	// Old counts the traces that ended before the stream began. Those of them that came after
	// the agent was gone are not missed after all.
	Old uint64
}

// Counted is what the agent says it has counted.
type Counted struct {
	At      time.Time
	Summary *api.Summary
	// Missed is how many pings passed while the agent could not be reached. Some may still come.
	Missed uint64
}

// Gone says that the agent cannot be reached or refuses, and when that will be tried again.
type Gone struct {
	At, Again time.Time
	Err       error
}

// refused reports whether the agent is there and refuses, because the tenant was removed or
// the right to see it was taken away.
func (g *Gone) refused() bool {
	var end ended
	if errors.As(g.Err, &end) {
		return end.Code != api.CodeStopping
	}
	var r interface{ Refusal() api.Problem }
	return errors.As(g.Err, &r)
}

// ended is why the agent ended a stream.
type ended struct{ api.Problem }

func (e ended) Error() string {
	switch e.Code {
	case api.CodeStopping:
		return "the agent was stopped"
	case api.CodeRevoked:
		return "the agent no longer lets you see these pings: " + e.Message
	}
	return "the agent ended the stream: " + e.Message
}

// Run reads until ctx is done. It fails only if the first attempt does: afterwards it says that
// the agent is gone and tries again.
func (f *Feed) Run(ctx context.Context) error {
	connected := false
	retry := firstRetry
	for ctx.Err() == nil {
		began, err := f.read(ctx)
		if !began && !connected && ctx.Err() == nil {
			return err
		}
		if connected = true; began {
			retry = firstRetry
		}
		f.pause(ctx, err, retry/2+rand.N(retry))
		retry = min(2*retry, lastRetry)
	}
	return nil
}

// pause says why a stream ended, and waits.
func (f *Feed) pause(ctx context.Context, why error, wait time.Duration) {
	if ctx.Err() != nil {
		return
	}
	now := f.Now()
	f.Handle(Gone{At: now, Again: now.Add(wait), Err: why})
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// read reads one stream to its end and returns why it ended, and whether it had begun.
func (f *Feed) read(parent context.Context) (began bool, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	s, err := f.Backend.Stream(ctx)
	if err != nil {
		return false, err
	}
	items := make(chan item)
	done := make(chan struct{})
	go func() { // it ends when the stream is closed
		defer close(done)
		receive(ctx, s, items)
	}()
	defer func() {
		cancel(nil)
		s.Close()
		<-done
	}()
	return f.collect(ctx, items)
}

// item is what came at once.
type item struct {
	line []byte
	note *api.Note
	err  error
}

// receive hands on what comes, until an error is handed on.
func receive(ctx context.Context, s Stream, items chan<- item) {
	for {
		line, note, err := s.Next()
		one := item{note: note, err: err}
		if err == nil && note == nil {
			one.line = append([]byte(nil), line...)
		}
		select {
		case items <- one:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// collect makes batches of what comes, and messages of notes.
func (f *Feed) collect(ctx context.Context, items <-chan item) (began bool, err error) {
	var flush <-chan time.Time
	var batch Batch
	hand := func() {
		if len(batch.Traces) > 0 || batch.Lost > 0 || batch.Unread > 0 {
			batch.At = f.Now()
			f.Handle(batch)
		}
		batch, flush = Batch{}, nil
	}
	defer hand()
	for {
		select {
		case <-ctx.Done():
			return began, ctx.Err()
		case <-flush:
			hand()
		case i := <-items:
			if i.err != nil {
				return began, endOf(i.err)
			}
			if i.note != nil {
				hand()
				if err := f.note(ctx, i.note, !began); err != nil {
					return true, err
				}
				began = true
				batch.Lost += i.note.Lost
				f.ledger.known += i.note.Lost
			} else {
				f.line(&batch, i.line)
			}
			if flush == nil {
				flush = time.After(every)
			}
		}
	}
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the agent closed the connection")
	}
	return err
}

// note handles a note: the first one opens the stream, each one is an occasion to ask what
// the agent has counted.
func (f *Feed) note(ctx context.Context, n *api.Note, first bool) error {
	if n.End != nil {
		return ended{*n.End}
	}
	if first {
		if f.opened = n.Time; f.first.IsZero() {
			f.first = n.Time
		}
		f.Handle(Connected{At: f.Now(), Clock: n.Time})
	} else if n.Lost > 0 {
		return nil
	}
	s, err := f.Backend.Summary(ctx)
	if err != nil {
		return err
	}
	c := Counted{At: f.Now(), Summary: s}
	if first && !f.Filtered {
		c.Missed = f.ledger.opened(s)
	}
	f.ledger.counted(s)
	f.Handle(c)
	return nil
}

// line takes in a line.
func (f *Feed) line(b *Batch, line []byte) {
	traces, err := otlpread.Decode(line)
	if err != nil {
		b.Unread++
		b.Err = err
		f.ledger.known++
		return
	}
	before := len(b.Traces)
	for _, t := range traces {
		end := time.Unix(0, t.Root().End)
		again := f.opened.After(f.first)
		if !f.recent.add(idOf(t)) || again && end.Before(f.first) { // before we were there
			continue
		}
		b.Traces = append(b.Traces, t)
		if end.Before(f.opened) {
			b.Old++
		} else {
			f.ledger.known++
		}
	}
	if f.KeepLines && len(b.Traces) > before {
		b.Lines = append(b.Lines, line)
	}
}
