// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// handOverBuffer keeps traces while the exporter for them is not open yet, because it is made
// when there is something to send.
type handOverBuffer struct {
	limit int64 // spans

	mu     sync.Mutex
	traces []*trace.Trace
	count  exporter.Count
	lost   exporter.Count
}

var errHeldTooMany = errors.New("more traces than the queue holds while the exporter was replaced")

// Export implements [exporter.Exporter].
func (h *handOverBuffer) Export(_ context.Context, traces []*trace.Trace) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, t := range traces {
		c := exporter.CountOf(t)
		if h.count.Spans+c.Spans > h.limit {
			h.lost = h.lost.Plus(exporter.CountOf(traces[i:]...))
			return errHeldTooMany
		}
		h.traces, h.count = append(h.traces, t), h.count.Plus(c)
	}
	return nil
}

// Shutdown implements [exporter.Exporter]; what is still held is lost. The error says what
// was lost in all.
func (h *handOverBuffer) Shutdown(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = h.lost.Plus(h.count)
	h.traces, h.count = nil, exporter.Count{}
	if h.lost != (exporter.Count{}) {
		return fmt.Errorf("%v were lost while the exporter was replaced", h.lost)
	}
	return nil
}

// Stats implements [exporter.Exporter].
func (h *handOverBuffer) Stats() exporter.Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return exporter.Stats{Queued: h.count, Lost: map[exporter.Cause]exporter.Count{exporter.CauseQueueFull: h.lost}}
}

// take returns what is held, which is from then on the caller's.
func (h *handOverBuffer) take() []*trace.Trace {
	h.mu.Lock()
	defer h.mu.Unlock()
	traces := h.traces
	h.traces, h.count = nil, exporter.Count{}
	return traces
}
