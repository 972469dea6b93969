// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// replan is how often it is looked up which namespaces there are.
const replan = time.Second

// Prober sends probes. Its methods may be called concurrently.
type Prober struct {
	options Options
	traces  traces
	skipped atomic.Uint64
	// active is set while there are probes.
	active atomic.Bool
	// changed receives when there are other probes.
	changed chan struct{}

	mu     sync.Mutex
	probes []Probe
	limits Limits
	plan   *plan
	pairs  map[pairKey]*pair
}

// New returns a Prober without probes.
func New(o Options) *Prober {
	if o.send == nil {
		o.send = send
	}
	if o.random == nil {
		o.random = rand.Float64
	}
	return &Prober{
		options: o, changed: make(chan struct{}, 1), plan: &plan{}, pairs: map[pairKey]*pair{},
		traces: traces{record: o.Record, wait: o.TraceWait, open: map[trace.ID]*awaited{}},
	}
}

// Set says what is sent from now on. What was being sent and still is goes on undisturbed.
func (p *Prober) Set(probes []Probe, limits Limits) {
	p.mu.Lock()
	p.probes, p.limits = slices.Clone(probes), limits
	p.mu.Unlock()
	p.active.Store(len(probes) > 0)
	select {
	case p.changed <- struct{}{}:
	default: // the last change is yet to be noticed, and this one with it
	}
}

// Traced notes a trace, with kept set if it is going to be exported. It is cheap, and waits
// for nothing.
func (p *Prober) Traced(t *trace.Trace, kept bool) {
	if p.active.Load() {
		p.traces.traced(t, kept)
	}
}

// Run sends until ctx is done. It returns when the last ping has ended and its result is
// recorded.
func (p *Prober) Run(ctx context.Context, where Namespaces) {
	var running sync.WaitGroup
	ticker := time.NewTicker(replan)
	defer ticker.Stop()
	for {
		p.follow(ctx, where, &running)
		p.traces.sweep(false)
		select {
		case <-ctx.Done():
			running.Wait()
			p.traces.sweep(true)
			p.follow(ctx, nil, &running)
			return
		case <-ticker.C:
		case <-p.changed:
		}
	}
}

// follow begins and ends pairs as the probes mean them now; nil is nowhere.
func (p *Prober) follow(ctx context.Context, where Namespaces, running *sync.WaitGroup) {
	p.mu.Lock()
	probes, limits := p.probes, p.limits
	p.mu.Unlock()
	next := &plan{}
	if where != nil {
		next = makePlan(probes, limits, where)
	}
	wanted := map[pairKey]bool{}
	for _, key := range next.pairs {
		wanted[key] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = next
	for key, n := range p.pairs {
		if !wanted[key] {
			n.stop()
			delete(p.pairs, key)
		}
	}
	for _, key := range next.pairs {
		if p.pairs[key] != nil || ctx.Err() != nil {
			continue
		}
		n := p.newPair(key)
		var within context.Context
		within, n.stop = context.WithCancel(ctx)
		p.pairs[key] = n
		running.Go(func() { n.run(within, where) })
	}
}
