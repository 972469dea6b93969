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
	"slices"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// bench measures all scenes one after the other.
type bench struct {
	config
	stderr io.Writer
	dir    string // for pins
	made   int    // labs
}

// scene is a network, and what was measured in it. All ways go through the same network in turn.
type scene struct {
	config
	mode     mode
	rules    int
	lab      *lab
	bare     *lab
	accel    *accel
	capacity int // of flows that dwell may know: all pings in both directions, and connections
	wires    map[*lab]*traffic.Wire
	results  results
	programs []programLine
}

// labPrefix is how the names of all namespaces of this process begin.
func labPrefix() string { return fmt.Sprintf("dwpb%d-", os.Getpid()) }

func (b *bench) lab(ctx context.Context, m mode) (*lab, error) {
	b.made++
	return newLab(ctx, fmt.Sprint(labPrefix(), b.made), m)
}

// measure measures a mode with so many rules in FORWARD.
func (b *bench) measure(ctx context.Context, m mode, rules int) (s *scene, err error) {
	flows := slices.Max(b.flows)
	s = &scene{config: b.config, mode: m, rules: rules, capacity: 4*flows + 1000, wires: map[*lab]*traffic.Wire{}, results: results{}}
	defer func() { err = errors.Join(err, s.down()) }()
	if s.bare, err = b.lab(ctx, bareMode()); err != nil {
		return s, err
	}
	if s.lab, err = b.lab(ctx, m); err != nil {
		return s, err
	}
	if err := s.lab.rules(ctx, rules); err != nil {
		return s, err
	}
	if needsDwell(b.ways) {
		if s.accel, err = newAccel(s.lab, filepath.Join(b.dir, fmt.Sprint(b.made)), flows); err != nil {
			return s, err
		}
	}
	for _, l := range []*lab{s.lab, s.bare} {
		if s.wires[l], err = traffic.Open(l.guest, guestDevice); err != nil {
			return s, err
		}
		// The first ping lets all learn each other's hardware addresses, and waits for it.
		if _, err := s.wires[l].Pings(l.pings(1), 0); err != nil {
			return s, err
		}
	}
	sides := s.sides(b.ways)
	for round := range b.rounds {
		fmt.Fprintf(b.stderr, "%s, %d rules: round %d of %d\n", m.name, rules, round+1, b.rounds)
		if err := s.round(ctx, sides); err != nil {
			return s, err
		}
	}
	return s, s.times(ctx, sides)
}

// round measures everything once, on each side.
func (s *scene) round(ctx context.Context, sides []side) error {
	for _, step := range s.steps() {
		// Which comes first is by chance, so that nobody always comes after the same.
		for _, i := range rand.Perm(len(sides)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			d := sides[i]
			if err := d.enter(); err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
			err := step.run(ctx, d)
			if d.accel != nil {
				err = errors.Join(err, d.accel.err())
			}
			if err := errors.Join(err, d.leave()); err != nil {
				return fmt.Errorf("mode %s, %d rules, %s, %s: %w", s.mode.name, s.rules, step.name, d.name, err)
			}
		}
	}
	return nil
}

// step measures something on one side.
type step struct {
	name string
	run  func(context.Context, side) error
}

// steps are what is measured in the scene. With rules, only what they can change is.
func (s *scene) steps() (all []step) {
	flows := s.flows
	if s.rules > 0 {
		flows = flows[:1]
	}
	for _, n := range flows {
		all = append(all, step{fmt.Sprintf("ping, %d flows", n), func(ctx context.Context, d side) error { return s.ping(ctx, d, n) }})
	}
	if s.pacedPings > 0 {
		all = append(all, step{pacedPing.name, s.paced})
	}
	for _, r := range []struct {
		measure
		over requester
	}{{tcpRequests, traffic.Requests}, {udpRequests, traffic.Datagrams}} {
		all = append(all, step{r.name, func(ctx context.Context, d side) error { return s.ask(ctx, d, r.measure, r.over) }})
	}
	if s.rules == 0 && s.stream > 0 {
		all = append(all, step{throughput.name, s.tcpStream}, step{singleThroughput.name, s.singleSegments})
	}
	return all
}

// down removes what measure made.
func (s *scene) down() error {
	var errs []error
	for _, w := range s.wires {
		if w != nil {
			w.Close()
		}
	}
	if s.accel != nil {
		errs = append(errs, s.accel.close())
	}
	for _, l := range []*lab{s.lab, s.bare} {
		if l != nil {
			errs = append(errs, l.down())
		}
	}
	return errors.Join(errs...)
}
