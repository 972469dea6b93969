// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// diskPause is how long to wait after the disk refused a write.
const diskPause = time.Second

// spoolWriter moves batches from memory to the spool until the queue is closed.
type spoolWriter struct {
	*retrySender
	encode Encoder
	buf    []byte
	// draining is set from the moment when the queue is half full until it is down to
	// a quarter.
	draining bool
}

func (s *spoolWriter) work() {
	for {
		due, ok := s.spillAll()
		if !ok {
			return
		}
		s.rest(due)
	}
}

// rest waits until there may be something to do: in any case after due, if that is
// not 0.
func (s *spoolWriter) rest(due time.Duration) {
	var after <-chan time.Time
	if due > 0 {
		timer := time.NewTimer(due)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-s.closing:
	case <-s.Batcher.spill:
	case <-after:
	}
}

// spillAll moves what must be moved now. It returns in how long it should look again,
// 0 if only after a signal, and false if the queue is closed.
func (s *spoolWriter) spillAll() (due time.Duration, ok bool) {
	for s.needed() {
		traces, due, closed := s.take(s.draining)
		if closed {
			s.putBack(traces)
			return 0, false
		}
		if len(traces) == 0 {
			return due, true
		}
		if !s.spillOne(traces) {
			return diskPause, true
		}
	}
	return 0, !s.isClosing()
}

// needed reports whether memory must be relieved.
func (s *spoolWriter) needed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.spans >= s.options.Spans/2:
		s.draining = true
	case s.spans <= s.options.Spans/4:
		s.draining = false
	}
	return s.draining || s.failing.Load()
}

func (s *spoolWriter) spillOne(traces []*trace.Trace) bool {
	s.buf = s.encode(s.buf[:0], traces)
	if s.Spool.Append(spool.Batch{Payload: s.buf, Count: exporter.CountOf(traces...)}) != nil {
		s.putBack(traces)
		return false
	}
	s.Batcher.release(traces)
	signal(s.wake)
	return true
}
