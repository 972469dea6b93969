// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// recent remembers which traces came, to know those that come again.
type recent struct {
	known map[id]struct{}
	ring  []id
	next  int
}

// remembered is how many; the agent replays fewer.
const remembered = 4096

// add reports whether the trace is new.
func (r *recent) add(i id) bool {
	if _, ok := r.known[i]; ok {
		return false
	}
	if r.known == nil {
		r.known = make(map[id]struct{}, remembered)
	}
	if len(r.ring) < remembered {
		r.ring = append(r.ring, i)
	} else {
		delete(r.known, r.ring[r.next])
		r.ring[r.next] = i
		r.next = (r.next + 1) % remembered
	}
	r.known[i] = struct{}{}
	return true
}

// id is the same for the same trace, read twice.
type id struct {
	trace trace.ID
	root  trace.SpanID
}

func idOf(t *trace.Trace) id { return id{t.ID, t.Root().ID} }

// ledger knows how many pings the agent has counted, to tell how many passed while it could
// not be reached.
type ledger struct {
	// start is when the agent began to count, known how many it must have counted since.
	start time.Time
	known uint64
	// again is set from the second stream on.
	again bool
}

// opened returns how many pings passed that were not seen, by what the agent says at the beginning of a
// stream. An agent that was started again does not know.
func (l *ledger) opened(s *api.Summary) (missed uint64) {
	if l.again && s.Since != nil && s.Since.Equal(l.start) && s.Pings.Total > l.known {
		missed = s.Pings.Total - l.known
	}
	l.again = true
	l.counted(s)
	return missed
}

func (l *ledger) counted(s *api.Summary) {
	l.known = s.Pings.Total
	if s.Since != nil {
		l.start = *s.Since
	}
}
