// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/check/progtime"
	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// load is a kind of traffic; run returns how much of it there was.
type load struct {
	name, unit string
	run        func(*bench) (float64, error)
}

func loads() []load {
	return []load{
		{"UDP, 64 bytes", "packets", func(b *bench) (float64, error) {
			n, _, err := traffic.Bursts(b.lab.left, b.lab.right, at(), 64, b.length)
			return float64(n), err
		}},
		{"TCP_RR", "transactions", func(b *bench) (float64, error) {
			times, err := traffic.Requests(b.lab.left, b.lab.right, at(), b.requests, nil)
			return float64(len(times)), err
		}},
		{"TCP stream", "bits", func(b *bench) (float64, error) {
			n, _, err := traffic.Stream(b.lab.left, b.lab.right, at(), b.length, nil)
			return 8 * float64(n), err
		}},
	}
}

// rateOf runs traffic and returns how much of it there was in a second of this process's CPU time. Both
// ends are on one CPU, which the traffic keeps busy, so that is the rate of a machine on which nothing else
// runs, and other programs do not change it much.
func (b *bench) rateOf(l load) (float64, error) {
	before, err := cpuTime()
	if err != nil {
		return 0, err
	}
	amount, err := l.run(b)
	if err != nil {
		return 0, err
	}
	after, err := cpuTime()
	return amount / max(after-before, time.Microsecond).Seconds(), err
}

func cpuTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("CPU time of this process: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// bench measures in a lab.
type bench struct {
	config
	stderr io.Writer
	lab    *lab
	tracer *bpf.Tracer
}

func (b *bench) measure(ctx context.Context) (_ *results, err error) {
	if b.lab, err = newLab(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.lab.down()) }()
	if err := b.lab.await(ctx); err != nil {
		return nil, err
	}
	if b.tracer, err = bpf.Load(bpf.Options{}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.tracer.Close()) }()
	r := &results{Kernel: kernel(), Pairs: b.pairs}
	for _, l := range loads() {
		one, err := b.one(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		r.Loads = append(r.Loads, one)
	}
	return r, nil
}

// one measures a kind of traffic: the rates first, because measuring the programs takes time.
func (b *bench) one(ctx context.Context, l load) (*result, error) {
	r := &result{Name: l.name, Unit: l.unit}
	if _, err := l.run(b); err != nil { // the first is slower: neighbours, caches
		return nil, err
	}
	ways := []struct {
		rates *[]float64
		in    func(func() error) error
	}{{&r.Untraced, func(do func() error) error { return do() }}, {&r.Empty, withEmpties}, {&r.Traced, b.traced}}
	for round := range b.pairs {
		fmt.Fprintf(b.stderr, "%s: round %d of %d\n", l.name, round+1, b.pairs)
		for i := range ways {
			way := ways[(i+round)%len(ways)] // each is first in turn
			err := errors.Join(ctx.Err(), way.in(func() error {
				rate, err := b.rateOf(l)
				*way.rates = append(*way.rates, rate)
				return err
			}))
			if err != nil {
				return nil, err
			}
		}
	}
	fmt.Fprintf(b.stderr, "%s: programs\n", l.name)
	return r, b.programs(l, r)
}

// withEmpties calls do while there is an empty program at each tracepoint, which is the least that tracing
// can cost.
func withEmpties(do func() error) error {
	e, err := attachEmpties()
	if err != nil {
		return err
	}
	return errors.Join(do(), e.Close())
}

// traced calls do while the tracer is attached. Nobody reads the ring: only others' pings come into it, and
// reading takes time that is not a bystander's.
func (b *bench) traced(do func() error) error {
	if err := b.tracer.Attach(); err != nil {
		return err
	}
	return errors.Join(do(), b.tracer.Detach())
}

// programs measures each program beside empty ones at the same tracepoint: one that is called before it,
// and so finds nothing in the caches, and one after it.
func (b *bench) programs(l load, r *result) (err error) {
	stop, err := progtime.Measure()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	first, err := attachEmpties()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, first.Close()) }()
	return b.traced(func() (err error) {
		ours, err := held()
		defer func() { err = errors.Join(err, closeAll(ours)) }()
		if err != nil {
			return err
		}
		last, err := attachEmpties()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, last.Close()) }()
		return b.compare(l, r, [3]programs{first.programs, ours, last.programs})
	})
}

func (b *bench) compare(l load, r *result, all [3]programs) error {
	before, err := b.count(all)
	if err != nil {
		return err
	}
	if _, err := l.run(b); err != nil {
		return err
	}
	after, err := b.count(all)
	if err != nil {
		return err
	}
	for _, hook := range hooks() {
		var each [3]progtime.Ran
		for i := range each {
			each[i] = after.ran[i][hook.Name].Since(before.ran[i][hook.Name])
		}
		h := hookResult{Hook: hook.Name, Runs: each[1].Runs, Each: each[1].Each(), Empty: (each[0].Each() + each[2].Each()) / 2}
		r.Hooks = append(r.Hooks, h)
		r.Runs += h.Runs
	}
	r.Echoes = after.events - before.events
	return nil
}

// counts are what programs did so far: the first empty ones, the tracer's, the last empty ones.
type counts struct {
	ran    [3]map[string]progtime.Ran
	events uint64
}

func (b *bench) count(all [3]programs) (c counts, err error) {
	for i, some := range all {
		if c.ran[i], err = some.ran(); err != nil {
			return c, err
		}
	}
	stats, err := b.tracer.Stats()
	if err != nil {
		return c, err
	}
	sum := stats.Total()
	c.events = sum.Emitted + sum.Lost + sum.Gated
	return c, nil
}

func closeAll(all programs) error {
	var errs []error
	for _, p := range all {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
