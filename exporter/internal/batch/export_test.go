// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// WokenByPutBack reports whether a worker that found the queue empty, because another
// goroutine had taken all of it, is woken when that comes back.
func WokenByPutBack(traces []*trace.Trace) bool {
	b, _ := prepare(exporter.Queue{}, newMemory())
	defer b.abort()
	_ = b.enqueue(traces) // is open
	taken, _, _ := b.take(true)
	<-b.wake
	b.putBack(taken)
	return len(b.wake) == 1
}
