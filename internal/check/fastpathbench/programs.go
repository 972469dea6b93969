// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/internal/check/progtime"
)

// programLine says what one of dwell's programs did on one side.
type programLine struct {
	way, program string
	// perPing is how often it ran for a ping, and each how long, in nanoseconds, in which is what
	// measuring it takes.
	perPing, each float64
}

// times measures how long dwell's programs run. The kernel measures it only where it is asked to,
// which itself takes time: so it is not asked in the rounds.
func (s *scene) times(ctx context.Context, sides []side) (err error) {
	if s.accel == nil {
		return nil
	}
	stop, err := progtime.Measure()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, d := range sides {
		if d.accel == nil {
			continue
		}
		if err := errors.Join(d.enter(), s.timesOf(ctx, d), d.leave()); err != nil {
			return fmt.Errorf("time of programs, %s: %w", d.name, err)
		}
	}
	return nil
}

func (s *scene) timesOf(ctx context.Context, d side) error {
	frames := d.lab.pings(1)
	err := s.warm(ctx, d, 1, func() (int, error) {
		_, err := s.wires[d.lab].Pings(repeated(frames, warmPings), 0)
		return 2 * warmPings, err
	})
	if err != nil {
		return err
	}
	before, err := progtime.Pinned(d.accel.pin)
	if err != nil {
		return err
	}
	n := 10 * s.pings
	if _, err := s.wires[d.lab].Pings(repeated(frames, n), 0); err != nil {
		return err
	}
	after, err := progtime.Pinned(d.accel.pin)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		ran := after[name].Since(before[name])
		if float64(ran.Runs) < float64(n)/2 {
			continue // user space ran it
		}
		s.programs = append(s.programs, programLine{d.name, name, float64(ran.Runs) / float64(n), ran.Each()})
	}
	return nil
}
