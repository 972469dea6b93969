// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// shipment is what is on its way: one or more requests that are sent at the same time,
// because one at a time would be no more than one in each round trip.
type shipment struct {
	// parts are the requests that are not settled, in the order in which they are tried.
	parts []part
	// count is that of the whole, and settled the part of it that was taken or lost.
	count, settled exporter.Count
	lost           map[exporter.Cause]exporter.Count
	// traces is what it was made of, if it came from memory.
	traces []*trace.Trace
	// held is set if it is on disk.
	held bool
}

// part is one request.
type part struct {
	spool.Batch
	// exhausted is when it was first refused as too much; last is what the last try says
	// of it.
	exhausted time.Time
	last      Result
}

// outcome says what a try has brought.
type outcome struct {
	// progress is set if something was settled or cut in two.
	progress bool
	// fault is that of what must be tried again, Final if nothing must, and after how long
	// the receiver asks to wait before that.
	fault Fault
	after time.Duration
	// kept is set if a payload may still be in use.
	kept bool
}

// add adds a request.
func (s *shipment) add(b spool.Batch) {
	s.parts = append(s.parts, part{Batch: b})
	s.count = s.count.Plus(b.Count)
}

// send tries so many of the parts at the same time. Those that must be tried again go
// behind the others, so that each gets its turn.
func (s *shipment) send(ctx context.Context, o *SendOptions, n int) (out outcome) {
	tried := s.parts[:min(n, len(s.parts))]
	verdicts := tryAll(ctx, o, tried)
	s.parts = slices.Clone(s.parts[len(tried):])
	for i, v := range verdicts {
		p := tried[i]
		p.last = v.Result
		out.kept = out.kept || v.Kept
		if pieces, ok := o.halves(&p, v.Fault); ok {
			s.parts = append(pieces, s.parts...)
			out.progress = true
			continue
		}
		if p.over(&v, o.Patience) {
			s.settle(p.Count, v.Result)
			out.progress = true
			continue
		}
		s.parts = append(s.parts, p)
		out.fault, out.after = v.Fault, max(out.after, v.After)
	}
	return out
}

func tryAll(ctx context.Context, o *SendOptions, parts []part) []Verdict {
	verdicts := make([]Verdict, len(parts))
	var others sync.WaitGroup
	for i := 1; i < len(parts); i++ {
		others.Go(func() { verdicts[i] = o.Try(ctx, parts[i].Batch) })
	}
	if len(parts) > 0 {
		verdicts[0] = o.Try(ctx, parts[0].Batch)
	}
	others.Wait()
	return verdicts
}

// halves cuts what is too large in two. It reports false if it is not, or is one trace.
func (o *SendOptions) halves(p *part, f Fault) ([]part, bool) {
	if f != TooLarge || o.Halve == nil {
		return nil, false
	}
	a, b, ok := o.Halve(p.Batch)
	return []part{{Batch: a}, {Batch: b}}, ok
}

// over reports whether a part is settled, and makes the verdict say how.
func (p *part) over(v *Verdict, patience time.Duration) bool {
	switch v.Fault {
	case Final:
		return true
	case TooLarge:
		v.Lost, v.Cause = p.Count, exporter.CauseTooLarge
		return true
	case Exhausted:
		if p.exhausted.IsZero() {
			p.exhausted = time.Now()
		}
		return time.Since(p.exhausted) >= patience
	}
	p.exhausted = time.Time{}
	return false
}

// settle ends the sending of so much.
func (s *shipment) settle(count exporter.Count, r Result) {
	s.settled = s.settled.Plus(count)
	if r.Lost == (exporter.Count{}) {
		return
	}
	if s.lost == nil {
		s.lost = map[exporter.Cause]exporter.Count{}
	}
	s.lost[r.Cause] = s.lost[r.Cause].Plus(r.Lost)
}

// giveUp settles what is left as lost.
func (s *shipment) giveUp(cause func(Result) exporter.Cause) {
	for i := range s.parts {
		s.settle(s.parts[i].Count, Result{Lost: s.parts[i].Count, Cause: cause(s.parts[i].last)})
	}
	s.parts = nil
}

// rest returns all that is not settled as one batch: requests one after the other are a
// request.
func (s *shipment) rest() spool.Batch {
	if len(s.parts) == 1 {
		return s.parts[0].Batch
	}
	b := spool.Batch{Payload: []byte{}, Count: s.count.Minus(s.settled)}
	for i := range s.parts {
		b.Payload = append(b.Payload, s.parts[i].Payload...)
	}
	return b
}
