// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// waits knows since when what is in memory, queued or being sent, has been waiting.
type waits struct {
	mu sync.Mutex
	// queued are in the order of the queue.
	queued []arrival
	// sending has what was taken from the queue, by the first of the traces.
	sending map[*trace.Trace][]arrival
}

// arrival is so many traces that have been waiting since then.
type arrival struct {
	traces int
	since  time.Time
}

// arrive notes traces that were queued.
func (w *waits) arrive(traces int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queued = append(w.queued, arrival{traces, time.Now()})
}

// take notes that the first traces of the queue are being sent.
func (w *waits) take(traces []*trace.Trace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var taken []arrival
	for left := len(traces); left > 0; {
		first := &w.queued[0]
		n := min(left, first.traces)
		taken = append(taken, arrival{n, first.since})
		left -= n
		if first.traces -= n; first.traces == 0 {
			w.queued = w.queued[1:]
		}
	}
	if len(w.queued) == 0 {
		w.queued = nil
	}
	if w.sending == nil {
		w.sending = map[*trace.Trace][]arrival{}
	}
	w.sending[traces[0]] = taken
}

// putBack notes that traces that were taken are the first of the queue again.
func (w *waits) putBack(traces []*trace.Trace) {
	if len(traces) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queued = append(w.sending[traces[0]], w.queued...)
	delete(w.sending, traces[0])
}

// done notes that traces are not in memory any more. They may have been taken one after the other.
func (w *waits) done(traces []*trace.Trace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sending) == 0 {
		return
	}
	for _, t := range traces {
		delete(w.sending, t)
	}
}

// oldest returns since when that has been waiting which has for longest, or zero.
func (w *waits) oldest() (oldest time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queued) > 0 {
		oldest = w.queued[0].since
	}
	for _, taken := range w.sending {
		if since := taken[0].since; oldest.IsZero() || since.Before(oldest) {
			oldest = since
		}
	}
	return oldest
}
