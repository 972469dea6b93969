// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// left returns what an earlier process was sending. It may be several requests.
func (s *retrySender) left() *shipment {
	l := &shipment{held: true}
	if b := s.Spool.Left(); b.Payload != nil {
		s.addPieces(l, b)
	}
	return l
}

// addPieces adds a batch from the disk, which may have been several, in pieces that are not
// much larger than a batch is now.
func (s *retrySender) addPieces(l *shipment, b spool.Batch) {
	if s.Halve != nil && b.Count.Spans > 2*int64(s.options.BatchSpans) {
		if first, second, ok := s.Halve(b); ok {
			s.addPieces(l, first)
			s.addPieces(l, second)
			return
		}
	}
	l.add(b)
}

// fetch waits for what is next. It reports false when there will be nothing.
func (s *retrySender) fetch(ctx context.Context, l *shipment) bool {
	for {
		due, closed := s.pick(l)
		if l.parts != nil {
			if ctx.Err() != nil { // picked too late to be sent
				s.keep(l)
				return false
			}
			return true
		}
		if closed || ctx.Err() != nil {
			return false
		}
		s.wait(ctx, s.wake, due)
	}
}

// pick takes what is next if there is something, and says otherwise when there may be.
func (s *retrySender) pick(l *shipment) (due time.Duration, closed bool) {
	if s.old && s.pickOld(l) {
		return 0, false
	}
	traces, due, closed := s.take(false)
	if len(traces) > 0 {
		s.old = true
		s.pack(l, traces)
		return 0, closed
	}
	if !closed && !s.pickOld(l) && due == 0 && (s.Spool.Pending() || !s.Spool.Empty()) {
		due = diskPause // it cannot be read now, or nobody knows yet what is in it
	}
	return due, closed
}

// pickOld takes the oldest batches out of the spool, unless time is short.
func (s *retrySender) pickOld(l *shipment) bool {
	if s.isClosing() {
		return false
	}
	s.old = false
	l.held = true
	n := s.Senders
	if s.failing.Load() {
		n = 1
	}
	for _, b := range s.Spool.TakeSome(n) {
		s.addPieces(l, b)
	}
	return l.parts != nil
}

func (s *retrySender) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// pack encodes a batch from memory, and others if they are ready, too, and puts them on
// disk before they are sent.
func (s *retrySender) pack(l *shipment, traces []*trace.Trace) {
	s.buf = s.buf[:0]
	var ends []int
	var counts []exporter.Count
	for len(traces) > 0 {
		s.buf = s.encode(s.buf, traces)
		ends, counts = append(ends, len(s.buf)), append(counts, exporter.CountOf(traces...))
		l.traces = append(l.traces, traces...)
		if len(ends) == s.Senders || s.failing.Load() {
			break
		}
		traces, _, _ = s.take(false)
	}
	if s.buf == nil {
		s.buf = []byte{} // of traces without spans; they are a batch, too
	}
	start := 0
	for i, end := range ends {
		l.add(spool.Batch{Payload: s.buf[start:end:end], Count: counts[i]})
		start = end
	}
	l.held = s.Spool.Hold(spool.Batch{Payload: s.buf, Count: l.count}) == nil
}
