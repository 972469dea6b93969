// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"log/slog"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/notice"
)

// Overflow logs that traces find no room in a queue, and that there is room again. Its
// methods may be called concurrently.
type Overflow struct {
	log *slog.Logger
	// spans is the size of the queue.
	spans int
	state notice.State
}

// NewOverflow returns an Overflow for a queue.
func NewOverflow(log *slog.Logger, q exporter.Queue) *Overflow {
	return &Overflow{log: log, spans: q.WithDefaults().Spans}
}

// Note takes what Export of a [Batcher] returned. It needs stats only while the queue
// overflows.
func (o *Overflow) Note(err error, stats func() exporter.Stats) {
	switch {
	case errors.Is(err, ErrDropped):
		if o.state.Set(true) {
			o.log.Warn("traces arrive faster than they can be exported; the queue is full and traces are dropped", "queue_spans", o.spans)
		}
	case err == nil && o.state.On():
		s := stats()
		if s.Queued.Spans <= int64(o.spans/2) && o.state.Set(false) {
			o.log.Info("the queue has room again", "dropped", s.Lost[exporter.CauseQueueFull].String())
		}
	}
}
