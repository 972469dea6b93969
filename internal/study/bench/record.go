// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// plan says what a recorded run of batches is made of.
type plan struct {
	batches int
	// before prepares the lab for a batch, or is nil.
	before func(ctx context.Context, batch int) error
	// lead is how many pings come before those of a batch, which are not measured.
	lead int
	// flood says that each ping of a batch is sent as soon as the last is answered; nil: of none.
	flood func(batch int) bool
	// without says which traces count, but have no figures; it may be nil.
	without func(batch int, t *trace.Trace) bool
	// collector and column say where the figures of a batch go.
	collector func(batch int) (c *Collector, column int)
}

func (p *plan) floods(batch int) bool { return p.flood != nil && p.flood(batch) }

// record sends the batches while the lab is recorded. What is counted beyond the
// collectors is returned.
func (s *session) record(ctx context.Context, p plan) (Counts, error) {
	var counts Counts
	scope := s.scope()
	scope.OnTrace = func(t *trace.Trace) {
		batch, ok := s.batchOf(t, p.batches)
		if !ok {
			counts.Stray++
			return
		}
		if int(t.Ping.Seq) <= p.lead {
			return
		}
		c, column := p.collector(batch)
		if p.without != nil && p.without(batch, t) {
			c.counts.add(t)
			return
		}
		c.Add(column, t)
	}
	var reports []*pinger.Report
	recorded, err := s.during(ctx, scope, func(ctx context.Context) (err error) {
		reports, err = s.send(ctx, p)
		return err
	})
	if err != nil {
		return counts, err
	}
	counts.Events, counts.EventsLost = recorded.Events, recorded.Lost
	counts.WithoutNetfilter = recorded.WithoutNetfilter
	takeReports(reports, p)
	return counts, nil
}

// send sends the batches one after the other.
func (s *session) send(ctx context.Context, p plan) ([]*pinger.Report, error) {
	var all []*pinger.Report
	for batch := range p.batches {
		if p.before != nil {
			if err := p.before(ctx, batch); err != nil {
				return all, err
			}
		}
		report, err := s.pingMore(ctx, s.batchID(batch), p.lead, p.floods(batch))
		if err != nil {
			return all, err
		}
		all = append(all, report)
	}
	return all, nil
}

// takeReports gives the collectors what the pinger saw.
func takeReports(all []*pinger.Report, p plan) {
	for batch, report := range all {
		c, column := p.collector(batch)
		measured := pinger.Report{Echoes: report.Echoes[min(p.lead, len(report.Echoes)):]}
		for _, rtt := range measured.RTTs() {
			c.AddRTT(column, rtt)
		}
		c.counts.Sent += len(measured.Echoes)
		c.counts.Received += measured.Received()
	}
}

// during records while do pings.
func (s *session) during(ctx context.Context, scope Scope, do func(context.Context) error) (Recorded, error) {
	recorder, err := s.cfg.Start(scope)
	if err != nil {
		return Recorded{}, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		defer stop() // the last reply is delivered, so all its events are recorded
		done <- do(running)
	}()
	recorded, err := recorder.Run(running)
	stop()
	doErr := <-done
	if ctx.Err() != nil {
		return recorded, context.Cause(ctx)
	}
	if err != nil {
		return recorded, err // and so the pings could not go on
	}
	return recorded, doErr
}
