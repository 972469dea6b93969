// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Each target is pinged once in an interval, with what tells pings apart.
func TestProbesAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := gateway("web")
		p.Targets = []netip.Addr{one, two, one}
		r := begin(t, newWorld("web", "other"), plenty, p)
		pings, results := r.after(10 * time.Second)
		if len(pings) != 20 || !slices.Equal(targetsOf(pings), []string{"192.0.2.1", "2001:db8::2"}) {
			t.Fatalf("%d pings to %v", len(pings), targetsOf(pings))
		}
		seen := map[string]bool{}
		for _, p := range pings {
			if p.id == 0 || !strings.Contains(string(p.payload), Mark) || len(p.payload) != 56 || seen[string(p.payload)] {
				t.Errorf("ping %+v", p)
			}
			seen[string(p.payload)] = true
		}
		for _, a := range pings {
			for _, b := range pings {
				if a.target == b.target && a.id != b.id {
					t.Fatalf("%s has two identifiers", a.target)
				}
			}
		}
		if _, late := r.after(5 * time.Second); len(results)+len(late) < 20 || outcomes(late)[Answered] != len(late) {
			t.Errorf("results are %v, then %v", results, late)
		}
		s := r.Stats()
		if len(s.States) != 2 || s.States[0].Last != Answered || s.States[0].NetNS != "web" || s.Skipped != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Pairs do not ping at the same moment, and times vary by a tenth of the interval.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newWorld("a", "b", "c", "d"), plenty)
		random := rand.New(rand.NewPCG(1, 2))
		r.options.random = func() float64 { r.mu.Lock(); defer r.mu.Unlock(); return random.Float64() }
		r.Set([]Probe{gateway("*")}, plenty)
		pings, _ := r.after(20 * time.Second)
		at := map[uint16][]time.Time{}
		firsts := map[time.Time]bool{}
		for _, p := range pings {
			if len(at[p.id]) == 0 {
				firsts[p.at] = true
			}
			at[p.id] = append(at[p.id], p.at)
		}
		if len(firsts) != 4 {
			t.Errorf("%d of 4 begin at a time of their own", len(firsts))
		}
		gaps := map[time.Duration]bool{}
		for _, times := range at {
			for i := 1; i < len(times); i++ {
				gap := times[i].Sub(times[i-1])
				gaps[gap] = true
				if gap < 900*time.Millisecond || gap > 1100*time.Millisecond {
					t.Errorf("%v from one ping to the next", gap)
				}
			}
			if d := times[len(times)-1].Sub(times[0]) - time.Duration(len(times)-1)*time.Second; d.Abs() > 100*time.Millisecond {
				t.Errorf("it is %v off after %d pings", d, len(times))
			}
		}
		if len(gaps) < 10 {
			t.Errorf("only %d different gaps", len(gaps))
		}
	})
}

// What is lost, what cannot be sent, and what is taken away while it is under way are different
// things.
func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newWorld("web"), plenty, gateway("web"))
		r.answers(func(context.Context, ping) (time.Duration, error) {
			<-time.After(time.Second)
			return 0, errLost
		})
		r.after(10 * time.Second)
		if s := r.Stats(); len(s.States) != 1 || s.States[0].Last != Lost || len(s.Problems) > 0 || s.Skipped > 0 {
			t.Errorf("lost: %+v", s)
		}
		r.answers(func(context.Context, ping) (time.Duration, error) { return 0, errors.New("network is unreachable") })
		_, results := r.after(10 * time.Second)
		if s := r.Stats(); s.States[0].Last != Failed || !slices.Equal(s.Problems, []string{"probe gateway cannot be sent from web: network is unreachable"}) {
			t.Errorf("failed: %+v", s)
		}
		if got := outcomes(results); got[Failed] < 5 || got[Lost] == 0 || got[Answered]+got[Aborted] > 0 {
			t.Errorf("outcomes %v", got)
		}
		r.after(5 * time.Second)
		r.answers(func(ctx context.Context, _ ping) (time.Duration, error) { <-ctx.Done(); return 0, ctx.Err() })
		r.after(5 * time.Second)
		r.stop()
		_, results = r.after(0)
		if got := outcomes(results); got[Aborted] != 1 || len(results) != 1 {
			t.Errorf("at the end: %v", got)
		}
		if s := r.Stats(); len(s.States) != 0 {
			t.Errorf("after the end: %+v", s)
		}
	})
}

// Every ping that was sent has a result, whatever happens, and none has two.
func TestEveryPingHasOneResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newWorld("a", "b", "c"), plenty, gateway("*"))
		n := 0
		r.answers(func(context.Context, ping) (time.Duration, error) {
			r.mu.Lock()
			n++
			k := n
			r.mu.Unlock()
			switch k % 3 {
			case 0:
				return 0, errLost
			case 1:
				return 0, errors.New("no")
			}
			return time.Millisecond, nil
		})
		var pings []sent
		var results []Result
		for i := range 20 {
			p, res := r.after(1700 * time.Millisecond)
			pings, results = append(pings, p...), append(results, res...)
			for j, one := range p {
				if j%2 == 0 {
					r.Traced(traceOf(one), true)
				}
			}
			if i%5 == 2 {
				r.world.remove("b")
			} else if i%5 == 4 {
				r.world.add("b", "")
			}
		}
		r.stop()
		_, rest := r.after(0)
		results = append(results, rest...)
		if len(pings) != len(results) || len(pings) < 60 {
			t.Errorf("%d pings, %d results", len(pings), len(results))
		}
	})
}

// traceOf is the trace that a tracer makes of a ping.
func traceOf(p sent) *trace.Trace {
	id := correlate.Identify(correlate.DefaultKey, p.seq, [event.PayloadPrefix]byte(p.payload))
	return &trace.Trace{ID: id, Spans: []trace.Span{{ID: trace.SpanID{7: 1}}}}
}

// A result has its trace if that is exported, whichever of the two is there first, and is
// recorded without it if that never comes.
func TestResultsHaveTheirTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newWorld("web"), plenty, gateway("web"))
		r.answers(func(_ context.Context, p ping) (time.Duration, error) {
			r.Traced(traceOf(sent{ping: p}), true)
			return time.Millisecond, nil
		})
		pings, results := r.after(time.Second)
		if len(results) != 1 || results[0].Trace != traceOf(pings[0]).ID || results[0].Root != (trace.SpanID{7: 1}) || results[0].RTT != time.Millisecond {
			t.Fatalf("the trace was first: %+v", results)
		}
		r.answers(func(context.Context, ping) (time.Duration, error) { return time.Millisecond, nil })
		pings, results = r.after(time.Second)
		if len(pings) != 1 || len(results) != 0 {
			t.Fatalf("without a trace: %d pings, %+v", len(pings), results)
		}
		r.Traced(traceOf(pings[0]), true)
		r.Traced(traceOf(pings[0]), true) // nobody's any more
		if _, results = r.after(0); len(results) != 1 || results[0].Trace != traceOf(pings[0]).ID {
			t.Fatalf("the trace was last: %+v", results)
		}
		pings, _ = r.after(time.Second)
		r.Traced(traceOf(pings[0]), false)
		if _, results = r.after(0); len(results) != 1 || results[0].Trace != (trace.ID{}) || results[0].Outcome != Answered {
			t.Fatalf("the trace is not exported: %+v", results)
		}
		r.after(time.Second)
		r.Set(nil, plenty)
		if _, results = r.after(2 * time.Second); len(results) != 0 {
			t.Fatalf("it did not wait: %+v", results)
		}
		if _, results = r.after(3 * time.Second); len(results) != 1 || results[0].Trace != (trace.ID{}) {
			t.Fatalf("the trace never came: %+v", results)
		}
	})
}

// A tracer that has another key has other IDs, and nothing else matches.
func TestKey(t *testing.T) {
	key := correlate.Key{1, 2, 3}
	p := payload(MinSize, time.Unix(1, 0))
	if got, want := identify(key, 7, p), correlate.Identify(key, 7, [event.PayloadPrefix]byte(p)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := identify(correlate.Key{}, 7, p), correlate.Identify(correlate.DefaultKey, 7, [event.PayloadPrefix]byte(p)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The tracer takes the payload for one that tells pings apart.
func TestPayloadIsDated(t *testing.T) {
	now := time.Now()
	p := payload(0, now)
	if len(p) != MinSize || !correlate.Dated([event.PayloadPrefix]byte(p), uint16(len(p)), now) {
		t.Errorf("payload of %d bytes: % x", len(p), p)
	}
	if string(p[16:28]) != Mark || slices.Equal(p, payload(0, now)) {
		t.Errorf("payload % x", p)
	}
}
