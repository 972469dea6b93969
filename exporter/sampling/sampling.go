// SPDX-License-Identifier: Apache-2.0

// Package sampling leaves out traces in front of an exporter: it keeps a share of all
// by trace ID, and every one that is slow, dropped, incomplete or unreachable.
//
// The share is taken as OpenTelemetry's consistent probability sampling does
// (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/): a
// trace is kept if the last 56 bits of its ID are no less than a threshold. These bits
// are a hash of what the packet carries, so that every host that the ping passes
// decides alike, no host has to ask another, and what a host with a lower ratio keeps is
// kept by one with a higher ratio, too.
//
// Every span says in its tracestate with what probability it was kept, as ot=th:…, and
// one over that is how many spans it represents. What is always kept has probability one,
// whatever its ID: th:0. It is decided by what the trace is and not by its randomness, so
// that sums over these numbers, by outcome and by duration, are those of all pings
// without bias. They are worth having where only the traces are; package metrics counts
// all pings anyway.
//
// A ping whose time to live ran out went as traceroute meant it to, and one that is partial
// as far as was asked for: neither is remarkable.
//
// Slow, dropped, incomplete and unreachable are what this host saw. Another host of the same ping
// may have seen nothing remarkable; then of that trace only this host's part may be
// kept. To keep whole traces of several hosts by such a rule, sample in a Collector that
// gets all of them. Of a trace whose ID is only good on this host (dwell.identity=local) the
// randomness is not in the ID, but the same on all hosts.
//
// Pings may have been chosen before they were recorded, by the same bits: [trace.Trace.Threshold]. Then
// what is kept here is what has passed both thresholds, and what is always kept here, too, stands for
// as many as the first one says.
package sampling

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// Options say which traces are kept. The zero value keeps only what is always kept.
type Options struct {
	// Ratio is the share of traces to keep, from 0 to 1; 1 keeps all, and 0 only those
	// that are always kept. Between them it is at least 2^-56, and what it keeps and leaves
	// out are each rounded to four significant hexadecimal digits or better, as
	// OpenTelemetry recommends.
	Ratio float64
	// KeepSlowerThan keeps every ping that took longer on this host up to the first reply,
	// or as a whole if there was none; 0 disables the rule.
	KeepSlowerThan time.Duration
	// Terse leaves the tracestate out where it would only say that a trace stands for itself, th:0.
	Terse bool
}

// Validate returns an error that says what to change.
func (o Options) Validate() error {
	_, err := newRules(o)
	return err
}

// Exporter leaves out traces in front of another exporter. Its Stats are those of the
// other; what it left out is in SampledOut.
type Exporter struct {
	exporter.Exporter
	rules atomic.Pointer[rules]

	mu   sync.Mutex
	left exporter.Count
}

var _ exporter.Exporter = (*Exporter)(nil)

// New makes an exporter that hands on to next what is to be kept. The error is that of
// [Options.Validate].
func New(o Options, next exporter.Exporter) (*Exporter, error) {
	e := &Exporter{Exporter: next}
	if err := e.Set(o); err != nil {
		return nil, err
	}
	return e, nil
}

// Set changes the options for the traces that come from now on. After an error they
// stay as they were.
func (e *Exporter) Set(o Options) error {
	r, err := newRules(o)
	if err != nil {
		return err
	}
	e.rules.Store(r)
	return nil
}

// Keeps reports whether Export will hand the trace on, while the options stay the same.
func (e *Exporter) Keeps(t *trace.Trace) bool {
	return e.rules.Load().probability(t).keeps(t)
}

// Export hands on those traces that are to be kept, as copies that say with what
// probability: others may hold the originals. They share the spans.
func (e *Exporter) Export(ctx context.Context, traces []*trace.Trace) error {
	rules := e.rules.Load()
	var left exporter.Count
	var copies []trace.Trace
	if !rules.terse {
		copies = make([]trace.Trace, 0, len(traces))
	}
	kept := make([]*trace.Trace, 0, len(traces))
	for _, t := range traces {
		p := rules.probability(t)
		if !p.keeps(t) {
			left = left.Plus(exporter.CountOf(t))
			continue
		}
		if rules.terse && p.threshold|t.Threshold == 0 {
			kept = append(kept, t)
			continue
		}
		copies = append(copies, *t)
		c := &copies[len(copies)-1]
		c.State = p.stateOf(t)
		kept = append(kept, c)
	}
	e.mu.Lock()
	e.left = e.left.Plus(left)
	e.mu.Unlock()
	if len(kept) == 0 {
		return nil
	}
	return e.Exporter.Export(ctx, kept)
}

// SampledOut returns what was left out so far.
func (e *Exporter) SampledOut() exporter.Count {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.left
}

// rules are options made ready.
type rules struct {
	slowerThan int64
	terse      bool
	// always is for what is always kept, chance for all else.
	always, chance probability
}

func newRules(o Options) (*rules, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &rules{
		slowerThan: int64(o.KeepSlowerThan),
		terse:      o.Terse,
		always:     newProbability(1),
		chance:     newProbability(o.Ratio),
	}, nil
}

// probability returns with which one t is kept. It does not depend on the trace's ID.
func (r *rules) probability(t *trace.Trace) *probability {
	if remarkable(t.Outcome) || r.slowerThan > 0 && len(t.Spans) > 0 && took(t) > r.slowerThan {
		return &r.always
	}
	return &r.chance
}

// remarkable reports whether a ping ended as nobody meant it to.
func remarkable(o trace.Outcome) bool {
	return o != trace.Complete && o != trace.Expired && o != trace.Partial
}

// took returns the nanoseconds up to the first reply, or of the whole ping without one.
func took(t *trace.Trace) int64 {
	if rtt, ok := t.RTT(); ok {
		return rtt
	}
	return t.Root().Duration()
}
