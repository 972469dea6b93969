// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/gate"
)

// NoGate as Options.MaxRate means that no ping is ever left out on purpose.
const NoGate = -1

const (
	// straggle is for how long a program may go on that began before a level was lowered.
	straggle = uint64(100 * time.Millisecond)
	// remembered is how old the levels may become that are still asked for: as old as a ping
	// that waits for a neighbour, and more.
	remembered = uint64(20 * time.Second)
)

// gatekeeper chooses what is traced of a flood: see package gate.
type gatekeeper struct {
	tracer     *bpf.Tracer
	key        correlate.Key
	now        func() (uint64, error)
	controller *gate.Controller
	// adapts is set unless nothing is left out but what sampling leaves out.
	adapts  bool
	history gate.History
	// life is how long a ping is kept open.
	life uint64
	// taken, spent and latest are for the controller: how many events were taken and how many
	// nanoseconds that took, and up to when they were.
	taken, spent, latest atomic.Uint64
	// closed is how many gates are not open.
	closed atomic.Int64
	// pings is how many traces there were.
	pings atomic.Uint64
	// sampling is the threshold of all gates, and change is held while that is changed.
	sampling atomic.Uint32
	change   sync.Mutex
	// left, refused and passed are the loop's: refused is whether the ping that is closed was seen
	// in part, and passed the highest of the thresholds that it has passed and that no event says.
	left    leftOut
	refused bool
	passed  gate.Threshold
}

func newGatekeeper(tracer *bpf.Tracer, now func() (uint64, error), opts *Options) *gatekeeper {
	return &gatekeeper{
		tracer: tracer, key: opts.Key, now: now, life: uint64(opts.Timeout) + straggle,
		controller: gate.New(gate.Options{MaxRate: max(0, opts.MaxRate), Background: background(opts)}),
		adapts:     opts.MaxRate != NoGate,
	}
}

// background returns which part of the time of one CPU tracing may take up all the time, 0 if
// there is no such limit.
func background(opts *Options) float64 {
	if !opts.Background || opts.MaxRate != 0 {
		return 0
	}
	// The loop has one CPU at most, and needs half of the time for what comes in bursts.
	return min(float64(runtime.NumCPU())/20, 0.5)
}

// discards reports whether an event is of a ping that is not to be traced as a whole. It may
// be that of one that was on its way when a threshold changed: what is then traced, the trace is
// not shown, see closing.
func (g *gatekeeper) discards(ev *event.Event) bool {
	if !g.history.Closed() {
		return false
	}
	c, _ := g.choose(ev, ev.Time-min(ev.Time, g.life))
	g.left.event(c)
	return c != whole
}

// choice is what becomes of a ping that a change of thresholds may have let see in part.
type choice int

const (
	whole choice = iota
	sampledOut
	gated
)

// choose tells whether an event of a ping may have been left out since a time on behalf of the
// identifier that it has here, and the highest threshold since then.
func (g *gatekeeper) choose(ev *event.Event, since uint64) (choice, gate.Threshold) {
	ofAll, own := g.history.Tightest(ev.ID, since)
	if ofAll|own == 0 {
		return whole, 0
	}
	switch random := g.randomness(ev); {
	case !ofAll.Passes(random):
		return sampledOut, 0
	case !own.Passes(random):
		return gated, 0
	}
	return whole, max(ofAll, own)
}

// randomness returns that by which the gates choose pings, see [bpf.Tracer.SetGate].
func (g *gatekeeper) randomness(ev *event.Event) uint32 {
	return uint32(correlate.Identify(g.key, ev.Seq, ev.Payload).Randomness() >> 24)
}

// closing is given the events of a ping of which a trace is emitted next.
func (g *gatekeeper) closing(events []event.Event) {
	first := events[0].Time
	for i := range events {
		first = min(first, events[i].Time)
		if events[i].ID != events[0].ID {
			g.controller.Alias(events[0].ID, events[i].ID, events[i].Time)
		}
	}
	c := g.judge(events, first)
	g.refused = c != whole
	g.left.trace(c)
}

// judge tells whether events of a ping may have been left out, whose first is of that time, and
// notes what it has passed.
func (g *gatekeeper) judge(events []event.Event, first uint64) choice {
	g.passed = 0
	if !g.history.Closed() {
		return whole
	}
	// Twice, because events that are one life older were discarded.
	since := first - min(first, 2*g.life)
	for i := range events {
		if i > 0 && events[i].ID == events[i-1].ID {
			continue
		}
		c, passed := g.choose(&events[i], since)
		if c != whole {
			return c
		}
		g.passed = max(g.passed, passed)
	}
	return whole
}

// finished returns a trace that was made of the events that closing was given last. It says what the
// ping has passed: where that was changed, more than its events were asked for.
func (g *gatekeeper) finished(t *trace.Trace) finished {
	f := finished{trace: t, partly: g.refused}
	if passed := uint64(g.passed) << thresholdShift; passed > t.Threshold {
		f.threshold = passed
	}
	return f
}

// account notes what the loop has done: how many events it took, in how much time.
func (g *gatekeeper) account(taken uint64, spent time.Duration, a *Agent) error {
	g.taken.Add(taken)
	g.spent.Add(uint64(spent))
	g.latest.Store(a.latest)
	g.pings.Store(a.summary.Pings() + g.left.traces())
	return g.left.count(a, g.perPing())
}

// watch adapts the levels until ctx is done: on a tick, and at once when news says that there
// are many events.
func (g *gatekeeper) watch(ctx context.Context, news <-chan struct{}) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := g.adapt(); err != nil {
			return fmt.Errorf("choose what to trace: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-news:
		}
	}
}

func (g *gatekeeper) adapt() error {
	defer func() { g.history.Forget(g.latest.Load() - min(g.latest.Load(), remembered+2*g.life)) }()
	if !g.adapts {
		return nil
	}
	now, err := g.now()
	if err != nil {
		return err
	}
	emitted, err := g.tracer.Emitted()
	if err != nil {
		return err
	}
	s := gate.Sample{
		At: now, Emitted: emitted, Taken: g.taken.Load(), Busy: time.Duration(g.spent.Load()),
		PerPing: g.perPing(), Sampling: gate.Threshold(g.sampling.Load()),
		Passed: func(counts *[gate.Identifiers]uint32) error { return g.tracer.Passed(counts) },
	}
	if s.Unread, s.Room, err = g.tracer.Unread(); err != nil {
		return err
	}
	changes, err := g.controller.Step(s)
	if err != nil {
		return err
	}
	for _, change := range changes {
		if err := g.apply(change, now); err != nil {
			return err
		}
	}
	return nil
}

// apply sets a level in the order that History.Set asks for.
func (g *gatekeeper) apply(change gate.Change, now uint64) error {
	switch {
	case change.From == 0:
		g.closed.Add(1)
	case change.To == 0:
		g.closed.Add(-1)
	}
	if change.To > change.From {
		g.history.Set(change.ID, change.To.Threshold(), now)
		return g.tracer.SetGate(change.ID, uint32(change.To.Threshold()))
	}
	if err := g.tracer.SetGate(change.ID, uint32(change.To.Threshold())); err != nil {
		return err
	}
	after, err := g.now()
	if err != nil {
		return err
	}
	g.history.Set(change.ID, change.To.Threshold(), after+straggle)
	return nil
}
