// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"

	"github.com/dwelltrace/dwell/internal/check/otlpsink"
)

// ledger knows which traces there must be, and which have arrived.
type ledger struct {
	mu sync.Mutex
	// pings are those that were sent, by trace ID.
	pings map[otlpsink.ID]*entry
	// sampled and endangered are set while some of the traces are left out on purpose, and while
	// some may be given up.
	sampled, endangered bool
	// all and arrived are how many they are.
	all, arrived int
}

// fate is why a trace need not arrive.
type fate uint8

const (
	// kept: it must.
	kept fate = iota
	// endangered: the disk was full, so it may be given up, and is counted then.
	endangered
	// sampled: it may have been left out on purpose.
	sampled
)

// entry is one ping.
type entry struct {
	spans   uint16
	because fate
}

// sent notes a ping before it is sent.
func (l *ledger) sent(id otlpsink.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pings == nil {
		l.pings = map[otlpsink.ID]*entry{}
	}
	e := &entry{}
	switch {
	case l.sampled:
		e.because = sampled
	case l.endangered:
		e.because = endangered
	}
	l.pings[id] = e
	l.all++
}

// unsent takes that back.
func (l *ledger) unsent(id otlpsink.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pings, id)
	l.all--
}

// received notes spans of a trace.
func (l *ledger) received(id otlpsink.ID, spans int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.pings[id]
	if e == nil {
		return // of a flood, or a probe
	}
	if e.spans == 0 {
		l.arrived++
	}
	e.spans = uint16(min(1<<16-1, int(e.spans)+spans))
}

// sampling says whether some are left out on purpose from now on.
func (l *ledger) sampling(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sampled = on
}

// endanger says whether some may be given up from now on. If so, that is also true of what has not
// arrived yet.
func (l *ledger) endanger(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endangered = on
	for _, e := range l.pings {
		if on && e.spans == 0 && e.because == kept {
			e.because = endangered
		}
	}
}

// account is what became of pings.
type account struct {
	sent, arrived int
	// spans is how many most of the traces have, twice how many have them more than once.
	spans int
	twice int
}

// sum adds up the pings of one fate.
func (l *ledger) sum(because fate) (a account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sizes := map[uint16]int{}
	for _, e := range l.pings {
		if e.because != because {
			continue
		}
		a.sent++
		if e.spans > 0 {
			a.arrived++
			sizes[e.spans]++
		}
	}
	most := 0
	for size, n := range sizes {
		if n > most {
			most, a.spans = n, int(size)
		}
	}
	for size, n := range sizes {
		if a.spans > 0 && int(size) >= 2*a.spans {
			a.twice += n
		}
	}
	return a
}

// counts returns how many pings were sent and how many of them have arrived.
func (l *ledger) counts() (sent, arrived int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all, l.arrived
}
