// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"sync/atomic"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Stats counts since the server was started.
type Stats struct {
	// Requests is how many were answered, whatever with.
	Requests uint64
	// Refused is how many requests and connections were refused, by reason: one of [api.Reasons].
	Refused map[string]uint64
	// Connections and Streams are open now.
	Connections, Streams int
	// LinesSent and LinesLost are those of all streams.
	LinesSent, LinesLost uint64
}

// tally counts what Stats shows.
type tally struct {
	requests, sent atomic.Uint64
	streams        atomic.Int64
	refused        map[string]*atomic.Uint64 // has all reasons; not changed
}

func newTally() *tally {
	t := &tally{refused: map[string]*atomic.Uint64{}}
	for _, reason := range api.Reasons() {
		t.refused[reason] = new(atomic.Uint64)
	}
	return t
}

func (t *tally) refuse(reason string) { t.refused[reason].Add(1) }

// refuseEnd counts the end of a stream, if it is a refusal.
func (t *tally) refuseEnd(code string) {
	if n, ok := t.refused[code]; ok {
		n.Add(1)
	}
}

// Stats returns what the server did so far.
func (s *Server) Stats() Stats {
	out := Stats{
		Requests: s.tally.requests.Load(), Refused: map[string]uint64{}, Connections: s.gate.connections(),
		Streams: int(s.tally.streams.Load()), LinesSent: s.tally.sent.Load(), LinesLost: s.hub.lost.Load(),
	}
	for reason, n := range s.tally.refused {
		out.Refused[reason] = n.Load()
	}
	return out
}
