// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// FastStudy is what a fast path saves: the same pings by the kernel's way and by it. Their batches
// took turns in one lab.
type FastStudy struct {
	Mode string `json:"mode"`
	// Interval is the time from one ping to the next; 0: each was sent as soon as the last was answered, and so
	// finds the caches warm.
	Interval time.Duration `json:"interval_ns"`
	// Host is the role of the namespace with the fast path.
	Host string `json:"host"`
	// Rules is how many rules were in the hypervisor's FORWARD chain, none of which matches.
	Rules int `json:"rules"`
	// Slow are the pings of the kernel's way, Fast those of the fast path.
	Slow Mode `json:"slow"`
	Fast Mode `json:"fast"`
	// Fallen counts pings of the fast path's batches that were forwarded by the kernel nonetheless,
	// which it has to see now and then. They are not in the figures.
	Fallen int `json:"fallen"`
}

// FastPath is what is between the devices of a [lab.Shortcut] while a study runs.
type FastPath interface {
	// Set has pings take the fast path from now on, or the kernel's way, and returns when that is in
	// force.
	Set(ctx context.Context, fast bool) error
	// Close removes it.
	Close() error
}

// FastPathFunc makes the fast path of a lab, whose host is open until it is closed. It is not in force
// at first.
type FastPathFunc func(ctx context.Context, host *netns.NS, at lab.Shortcut) (FastPath, error)

// lead is how many pings of each batch are not measured. A batch has an echo identifier of its own, and
// so is a flow that the fast path has to learn first.
const lead = 20

// fastTurns are how batches take turns: the kernel's way and then the fast path, each at the interval and
// then without.
const fastTurns = 4

// turn is what one of them is.
type turn struct{ fast, flood bool }

func turnOf(batch int) turn { return turn{fast: batch%fastTurns >= 2, flood: batch%2 == 1} }

// FastModes are the modes in which a fast path may be.
func FastModes() []string {
	var names []string
	for _, name := range Modes() {
		if t, err := lab.Find(name); err == nil {
			if _, ok := t.Shortcut(); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// CheckFastPath says why the fast path cannot be measured in a mode.
func (c Config) CheckFastPath(mode string) error {
	t, err := lab.Find(mode)
	if err != nil {
		return err
	}
	if _, ok := t.Shortcut(); !ok {
		return fmt.Errorf("--fastpath: mode %s has no host that forwards the guest's packets; choose from: %v", mode, FastModes())
	}
	if n := fastTurns * c.Protocol.Batches; n > maxBatches {
		return fmt.Errorf("--fastpath: %d batches are too many: at most %d", n, maxBatches)
	}
	if c.Protocol.Count > 65_535-lead {
		return fmt.Errorf("--fastpath: --count %d: must be at most %d", c.Protocol.Count, 65_535-lead)
	}
	return nil
}

// FastStudies measures a mode by the kernel's way and by the fast path, with so many rules: at the protocol's
// interval, and without.
func (c Config) FastStudies(ctx context.Context, mode string, rules int) (all []FastStudy, err error) {
	s, err := c.open(ctx, mode)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	at, ok := s.lab.Topology().Shortcut()
	if !ok {
		return nil, c.CheckFastPath(mode)
	}
	host, err := s.lab.Open(at.In)
	if err != nil {
		return nil, err
	}
	defer host.Close()
	if rules > 0 {
		if _, err := SetRules(ctx, host, rules); err != nil {
			return nil, err
		}
	}
	fast, err := c.FastPath(ctx, host, at)
	if err != nil {
		return nil, fmt.Errorf("fast path in %s: %w", mode, err)
	}
	defer func() { err = errors.Join(err, fast.Close()) }()
	all = []FastStudy{{Interval: c.Protocol.Interval}, {}}
	if err := s.takeTurns(ctx, fast, all); err != nil {
		return nil, fmt.Errorf("fast path in %s: %w", mode, err)
	}
	for i := range all {
		f := &all[i]
		f.Mode, f.Rules, f.Host = mode, rules, at.In
		for _, m := range []*Mode{&f.Slow, &f.Fast} {
			m.Name, m.Summary = mode, s.lab.Topology().Summary
			m.Target = s.lab.Target(c.Protocol.IPv6).String()
		}
	}
	return all, nil
}

// takeTurns sends the batches, and fills in a study at the interval and one without.
func (s *session) takeTurns(ctx context.Context, fast FastPath, all []FastStudy) error {
	batches := s.cfg.Protocol.Batches
	collectors, study := map[turn]*Collector{}, map[bool]*FastStudy{false: &all[0], true: &all[1]}
	for i := range fastTurns {
		collectors[turnOf(i)] = NewCollector(batches, s.roles)
	}
	counts, err := s.record(ctx, plan{
		batches: fastTurns * batches,
		lead:    lead,
		flood:   func(batch int) bool { return turnOf(batch).flood },
		before: func(ctx context.Context, batch int) error {
			if now := turnOf(batch); batch == 0 || now.fast != turnOf(batch-1).fast {
				return fast.Set(ctx, now.fast)
			}
			return nil
		},
		collector: func(batch int) (*Collector, int) { return collectors[turnOf(batch)], batch / fastTurns },
		without: func(batch int, t *trace.Trace) bool {
			now := turnOf(batch)
			if !now.fast || t.Outcome != trace.Complete || t.TookFastPath() {
				return false
			}
			study[now.flood].Fallen++
			return true
		},
	})
	if err != nil {
		return err
	}
	for flood, f := range study {
		f.Slow, f.Fast = collectors[turn{flood: flood}].Mode(), collectors[turn{fast: true, flood: flood}].Mode()
	}
	all[0].Slow.Counts.seen(counts) // of all
	return nil
}
