// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
	"github.com/dwelltrace/dwell/internal/check/progtime"
	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// The measurements.
const (
	pingOne      = "ping one flow"
	pingMany     = "ping all different"
	tcpRR        = "TCP_RR"
	packetOne    = "packet one flow"
	packetMany   = "packet all different"
	verdictOne   = "verdict one flow"
	verdictMany  = "verdict all different"
	settleWithin = 5 * time.Second
)

// cell is rules that are placed in some way, on a hypervisor of its own.
type cell struct {
	way  string
	load *workload
	lab  *lab
	wire *traffic.Wire
	placer
	placed         placed
	pings, packets [][]byte
	// programs are what dwell's did in a measurement of verdicts.
	programs map[string]map[string]progtime.Ran
	samples  map[string][]time.Duration
}

// bench measures all cells of a flavour in turn.
type bench struct {
	config
	stderr io.Writer
	dir    string // for dwell's state
	cells  []*cell
	made   int // labs
}

// flavour measures rules of one flavour.
func (b *bench) flavour(ctx context.Context, flavour synth.Flavour) (cells []*cell, err error) {
	defer func() { err = errors.Join(err, b.down()) }()
	for _, rules := range append([]int{0}, b.sizes...) {
		load, err := newWorkload(flavour, rules, b.different)
		if err != nil {
			return nil, err
		}
		ways := b.ways
		if rules == 0 {
			ways = []string{none}
		}
		for _, way := range ways {
			fmt.Fprintf(b.stderr, "%s: %d rules, %s\n", flavour, rules, way)
			if err := b.up(ctx, way, load); err != nil {
				return nil, fmt.Errorf("%s with %d rules of flavour %s: %w", way, rules, flavour, err)
			}
		}
	}
	for round := range b.rounds {
		fmt.Fprintf(b.stderr, "%s: round %d of %d\n", flavour, round+1, b.rounds)
		// Which comes first is by chance, so that nobody always comes after the same.
		for _, i := range rand.Perm(len(b.cells)) {
			c := b.cells[i]
			if err := c.round(ctx, b.config); err != nil {
				return nil, fmt.Errorf("%s with %d rules of flavour %s: %w", c.way, c.load.rules, flavour, err)
			}
		}
	}
	for _, c := range b.cells {
		if err := c.verdicts(b.config); err != nil {
			return nil, err
		}
	}
	return b.cells, nil
}

// labPrefix is how the names of all namespaces of this process begin.
func labPrefix() string { return fmt.Sprintf("dwfb%d-", os.Getpid()) }

func (b *bench) up(ctx context.Context, way string, load *workload) error {
	b.made++
	c := &cell{way: way, load: load, samples: map[string][]time.Duration{}, programs: map[string]map[string]progtime.Ran{}}
	b.cells = append(b.cells, c)
	var err error
	if c.lab, err = newLab(fmt.Sprint(labPrefix(), b.made)); err != nil {
		return err
	}
	if c.placer, err = newPlacer(ctx, way, c.lab, filepath.Join(b.dir, fmt.Sprint(b.made))); err != nil {
		return err
	}
	if c.placed, err = c.place(ctx, load.text); err != nil {
		return err
	}
	if m, ok := c.placer.(*managed); ok {
		if err := m.tc(ctx); err != nil {
			return err
		}
	}
	if c.wire, err = traffic.Open(c.lab.guest, "eth0"); err != nil {
		return err
	}
	c.pings, c.packets = c.frames(load.pings), c.frames(load.packets)
	// The first ping lets all learn each other's hardware addresses, and waits for it.
	_, err = c.wire.Pings(c.pings[:1], 0)
	return err
}

func (c *cell) frames(packets []header.Packet) [][]byte {
	frames := make([][]byte, len(packets))
	for i := range packets {
		frames[i] = c.lab.frame(&packets[i])
	}
	return frames
}

// down removes what up made.
func (b *bench) down() error {
	var errs []error
	for _, c := range b.cells {
		if c.wire != nil {
			c.wire.Close()
		}
		if c.placer != nil {
			errs = append(errs, c.placer.close())
		}
		if c.lab != nil {
			errs = append(errs, c.lab.down())
		}
	}
	b.cells = nil
	return errors.Join(errs...)
}

// round measures everything once.
func (c *cell) round(ctx context.Context, cfg config) error {
	one := make([][]byte, cfg.pings)
	for i := range one {
		one[i] = c.pings[0]
	}
	for _, step := range []struct {
		name string
		run  func() ([]time.Duration, error)
	}{
		{pingOne, func() ([]time.Duration, error) { return c.wire.Pings(one, 0) }},
		{pingMany, func() ([]time.Duration, error) { return c.wire.Pings(c.some(c.pings[1:], cfg.pings), 0) }},
		{tcpRR, func() ([]time.Duration, error) { return c.lab.rr(cfg.pings) }},
		{packetOne, func() ([]time.Duration, error) { return c.flood(ctx, c.packets[:1], cfg.packets) }},
		{packetMany, func() ([]time.Duration, error) { return c.flood(ctx, c.packets[1:], cfg.packets) }},
	} {
		times, err := step.run()
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		c.samples[step.name] = append(c.samples[step.name], times...)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// some returns n of the frames, which are taken again from the beginning if there are fewer.
func (c *cell) some(frames [][]byte, n int) [][]byte {
	at := rand.IntN(len(frames))
	some := make([][]byte, n)
	for i := range some {
		some[i] = frames[(at+i)%len(frames)]
	}
	return some
}

// flood sends packets, and waits until all have come to the outside: the rules let them pass.
func (c *cell) flood(ctx context.Context, frames [][]byte, packets int) ([]time.Duration, error) {
	packets -= packets % traffic.Batch
	before, err := c.lab.received()
	if err != nil {
		return nil, err
	}
	times, err := c.wire.Flood(frames, packets)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(settleWithin); ; {
		now, err := c.lab.received()
		if err != nil {
			return nil, err
		}
		if now-before >= uint64(packets) {
			return times, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("%d of %d packets came to the outside, but the rules let all pass", now-before, packets)
		}
	}
}
