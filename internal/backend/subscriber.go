// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"slices"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// line is a trace on its way to those who read along. It is encoded once, by whoever sends
// it first, and not in the agent's loop.
type line struct {
	trace *trace.Trace
	// bytes is about what trace and text take.
	bytes int
	once  sync.Once
	text  []byte
	err   error
}

func newLine(t *trace.Trace) *line {
	return &line{trace: t, bytes: 2 * sizeOf(t)} // its text takes about as much again
}

// encoded returns the text with its newline. It must not be changed.
func (l *line) encoded(h *Hub) ([]byte, error) {
	l.once.Do(func() { l.text, l.err = h.encode(nil, l.trace) })
	return l.text, l.err
}

// entry is in a subscriber's queue: a line, or how many were lost here.
type entry struct {
	line *line
	lost uint64
}

// filter says which traces a subscriber wants.
type filter struct {
	// outcome is 0 for any.
	outcome trace.Outcome
	// slowerThan is in nanoseconds, 0 for any: what was not answered is not slow.
	slowerThan int64
}

func (w filter) matches(t *trace.Trace) bool {
	if len(t.Spans) == 0 || w.outcome != 0 && t.Outcome != w.outcome {
		return false
	}
	if w.slowerThan == 0 {
		return true
	}
	rtt, ok := t.RTT()
	return ok && rtt > w.slowerThan
}

// subscriber is who reads along. What is published while the queue is full it loses, and is
// told so at that place. For every subscriber, lines published = lines taken + lost.
type subscriber struct {
	feed   *feed
	filter filter
	// wake has a token when there is something to take, or the end.
	wake chan struct{}

	mu    sync.Mutex
	queue ring[entry]
	lines int // in the queue
	bytes int
	end   *api.Problem
}

// subscribe makes a subscriber, which is first given up to last of the traces that are
// kept. It returns nil if the tenant was removed.
func (f *feed) subscribe(w filter, last int) *subscriber {
	s := &subscriber{feed: f, filter: w, wake: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	if f.book != nil && last > 0 {
		s.replay(f.book, last)
	}
	f.subscribers = append(f.subscribers, s)
	return s
}

// replay puts the last traces that match into the queue.
func (s *subscriber) replay(b *book, last int) {
	var matching []*trace.Trace
	for i := b.traces.n - 1; i >= 0 && len(matching) < last; i-- {
		if t := b.traces.at(i).trace; s.filter.matches(t) {
			matching = append(matching, t)
		}
	}
	lines := make([]*line, 0, len(matching))
	for _, t := range slices.Backward(matching) {
		lines = append(lines, newLine(t))
	}
	s.push(lines)
}

// unsubscribe ends the reading along.
func (f *feed) unsubscribe(s *subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.subscribers, s); i >= 0 {
		f.subscribers = slices.Delete(f.subscribers, i, i+1)
	}
}

// close ends everything, because the tenant is gone.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed, f.book = true, nil
	for _, s := range f.subscribers {
		s.stop(revoked(), true)
	}
	f.subscribers = nil
}

// push queues those lines that the subscriber wants, or counts them as lost.
func (s *subscriber) push(lines []*line) {
	o := &s.feed.hub.options
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return
	}
	for _, l := range lines {
		switch {
		case !s.filter.matches(l.trace):
		case s.lines >= o.QueueLines || s.lines > 0 && s.bytes+l.bytes > o.QueueBytes:
			s.feed.hub.lost.Add(1)
			s.lose(1)
		default:
			s.queue.push(entry{line: l}, 2*o.QueueLines+2)
			s.lines++
			s.bytes += l.bytes
		}
	}
	s.signal()
}

// lose notes at the end of the queue that lines were lost there. s.mu is held.
func (s *subscriber) lose(n uint64) {
	if s.queue.n > 0 {
		if last := s.queue.at(s.queue.n - 1); last.line == nil {
			last.lost += n
			return
		}
	}
	s.queue.push(entry{lost: n}, 2*s.feed.hub.options.QueueLines+2)
}

// stop ends the stream. With discard, what is still queued is lost, because the reader may no
// longer see it; otherwise it is sent first.
func (s *subscriber) stop(why *api.Problem, discard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil && !discard {
		return
	}
	s.end = why
	if discard {
		s.discard()
	}
	s.signal()
}

// discard loses what is queued. s.mu is held.
func (s *subscriber) discard() {
	lost := uint64(s.lines)
	s.feed.hub.lost.Add(lost)
	for s.queue.n > 0 {
		lost += s.queue.drop().lost
	}
	if s.lines, s.bytes = 0, 0; lost > 0 {
		s.lose(lost)
	}
}

func (s *subscriber) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// takeLines and takeBytes bound what a sender has taken out of a queue.
const (
	takeLines = 64
	takeBytes = 1 << 20
)

// take returns what is next in the queue, and why the stream ends if nothing comes after
// that.
func (s *subscriber) take(buf []entry) (next []entry, end *api.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for next = buf[:0]; s.queue.n > 0 && len(next) < takeLines && bytes < takeBytes; {
		e := s.queue.drop()
		if e.line != nil {
			s.lines--
			s.bytes -= e.line.bytes
			bytes += e.line.bytes
		}
		next = append(next, e)
	}
	if s.queue.n > 0 {
		s.signal()
		return next, nil
	}
	return next, s.end
}
