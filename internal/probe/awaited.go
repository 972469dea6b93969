// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// traces brings results and traces together. Which of the two is there first is not certain:
// the agent reads its events several times a second, and a reply that was lost is known to be
// so before or after its trace is.
type traces struct {
	record func(Result)
	wait   time.Duration

	mu   sync.Mutex
	open map[trace.ID]*awaited
}

// awaited is a ping whose result or whose trace is awaited.
type awaited struct {
	result Result
	// ended is when the result was known, zero before.
	ended time.Time
	// seen is set when the trace was.
	seen bool
	root trace.SpanID
	kept bool
}

// whole returns the result with what is known of the trace.
func (a *awaited) whole(id trace.ID) Result {
	r := a.result
	if a.kept {
		r.Trace, r.Root = id, a.root
	}
	return r
}

// begin notes that a ping is going to be sent.
func (t *traces) begin(id trace.ID, of Series) *awaited {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &awaited{result: Result{Series: of}}
	t.open[id] = a
	return a
}

// end notes its result, which is recorded when the trace is there, or after a while.
func (t *traces) end(id trace.ID, a *awaited, outcome Outcome, rtt time.Duration) {
	t.mu.Lock()
	a.result.Outcome, a.result.RTT, a.ended = outcome, rtt, time.Now()
	alone := t.open[id] != a // another ping has the same ID, against all odds
	now := a.seen || alone
	if now && !alone {
		delete(t.open, id)
	}
	t.mu.Unlock()
	if now {
		t.record(a.whole(id))
	}
}

// traced notes a trace, of whichever ping.
func (t *traces) traced(tr *trace.Trace, kept bool) {
	t.mu.Lock()
	a := t.open[tr.ID]
	if a == nil || len(tr.Spans) == 0 {
		t.mu.Unlock()
		return
	}
	a.seen, a.kept, a.root = true, kept, tr.Root().ID
	now := !a.ended.IsZero()
	if now {
		delete(t.open, tr.ID)
	}
	t.mu.Unlock()
	if now {
		t.record(a.whole(tr.ID))
	}
}

// sweep records what has waited long enough, or everything that has ended.
func (t *traces) sweep(all bool) {
	before := time.Now().Add(-t.wait)
	var over []Result
	t.mu.Lock()
	for id, a := range t.open {
		if !a.ended.IsZero() && (all || a.ended.Before(before)) {
			over = append(over, a.whole(id))
			delete(t.open, id)
		}
	}
	t.mu.Unlock()
	for _, r := range over {
		t.record(r)
	}
}
