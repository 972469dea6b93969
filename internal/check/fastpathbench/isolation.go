// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// What the other tenant does while one is measured.
const (
	alone     = "alone"     // nothing
	attackOff = "blue slow" // it attacks, and has no fast path
	attackOn  = "blue fast" // it attacks, and has the fast path
)

// unhurt is how much longer another's packets may take because of an attack.
var unhurt = goal{ratio: 1.10}

// fullWithin is how long it may take until the table of the tenant that attacks is full.
const fullWithin = 2 * time.Minute

// isolation measures the latency of one tenant, red, on the fast path while another, blue, attacks. Each
// attack is measured against silence, and against the same packets at the same rate from a tenant that has no fast
// path: that is what it costs that a machine has to do with them at all.
type isolation struct {
	config
	lab     *lab
	other   stranger
	managed *managed
	wire    *traffic.Wire // the guest's
	rogue   *traffic.Wire
	results results
	seen    map[string]*seen // by attack
}

// seen is what an attack did.
type seen struct {
	rates   map[string][]float64 // packets a second, by side
	entries int                  // the most that the attacker had
	taken   map[string]bool      // see strange
	named   map[string]bool
	differ  uint64  // packets of the other that the kernel treated in another way than foretold
	slow    counted // of the other while it was measured and attacked
}

// isolation measures all attacks in one network.
func (b *bench) isolation(ctx context.Context, out io.Writer) (err error) {
	s := &isolation{config: b.config, results: results{}, seen: map[string]*seen{}}
	defer func() { err = errors.Join(err, s.down()) }()
	if err := s.open(ctx, b); err != nil {
		return err
	}
	for round := range b.rounds {
		fmt.Fprintf(b.stderr, "isolation: round %d of %d\n", round+1, b.rounds)
		for _, a := range b.attacks {
			sides := []string{alone, attackOff, attackOn}
			for _, i := range rand.Perm(len(sides)) {
				if err := s.measure(ctx, a, sides[i]); err != nil {
					return fmt.Errorf("isolation, attack %s, %s: %w", a.name, sides[i], err)
				}
			}
		}
	}
	return s.write(out)
}

func (s *isolation) open(ctx context.Context, b *bench) (err error) {
	m, err := findMode("nat")
	if err != nil {
		return err
	}
	if s.lab, err = b.lab(ctx, m); err != nil {
		return err
	}
	if s.other.next, s.other.own, err = s.lab.addOther(fmt.Sprint(labPrefix(), b.made, "-x")); err != nil {
		return err
	}
	if s.wire, err = traffic.Open(s.lab.guest, guestDevice); err != nil {
		return err
	}
	if s.rogue, err = traffic.Open(s.lab.other, guestDevice); err != nil {
		return err
	}
	if s.managed, err = manage(s.lab.hypervisor, filepath.Join(b.dir, "isolation")); err != nil {
		return err
	}
	// The first pings let all learn each other's hardware addresses, and wait for that.
	_, err = s.wire.Pings(s.lab.pings(1), 0)
	if err == nil {
		_, err = s.rogue.Pings([][]byte{s.other.send(echo(netip.MustParseAddr(otherAddr), netip.MustParseAddr(outsideAddr), 1, 1))}, 0)
	}
	return err
}

func (s *isolation) down() error {
	var errs []error
	for _, w := range []*traffic.Wire{s.wire, s.rogue} {
		if w != nil {
			w.Close()
		}
	}
	if s.managed != nil {
		errs = append(errs, s.managed.close())
	}
	if s.lab != nil {
		errs = append(errs, s.lab.down())
	}
	return errors.Join(errs...)
}

// measure measures one side of an attack once.
func (s *isolation) measure(ctx context.Context, a attack, side string) (err error) {
	if err := s.managed.enter(ctx, side != attackOff); err != nil {
		return err
	}
	if s.seen[a.name] == nil {
		s.seen[a.name] = &seen{
			rates: map[string][]float64{}, taken: map[string]bool{}, named: map[string]bool{}, slow: counted{why: map[flow.Reason]uint64{}},
		}
	}
	saw := s.seen[a.name]
	before, _, err := s.managed.counts(red)
	if err != nil {
		return err
	}
	if side != alone {
		attacker := startAttack(s.rogue, a.frames(&s.other), s.rate)
		defer func() {
			rate, failed := attacker.end()
			saw.rates[side] = append(saw.rates[side], rate)
			err = errors.Join(err, failed)
		}()
	}
	if side == attackOn && a.fills {
		if err := s.untilFull(ctx); err != nil {
			return err
		}
	}
	if err := s.latency(ctx, a, side, saw); err != nil {
		return err
	}
	return s.look(ctx, saw, before, side)
}

// untilFull waits until the attacker's table is as good as full.
func (s *isolation) untilFull(ctx context.Context) error {
	entries := 0
	err := await(ctx, fullWithin, func() (_ bool, err error) {
		_, entries, err = s.managed.counts(blue)
		return entries >= strangersRoom*9/10, err
	})
	if err != nil {
		err = fmt.Errorf("the attacker's table has only %d entries of %d: %w", entries, strangersRoom, err)
	}
	return err
}

// latency measures red's pings, and its requests over UDP.
func (s *isolation) latency(ctx context.Context, a attack, side string, saw *seen) error {
	frames := s.lab.pings(1)
	ping := func(n int) ([]time.Duration, error) { return s.wire.Pings(repeated(frames, n), 0) }
	if err := s.timed(ctx, attackMeasure(a, "ping", 0), side, saw, ping); err != nil {
		return err
	}
	at := netip.AddrPortFrom(s.lab.target(), port)
	_, err := traffic.Datagrams(s.lab.guest, s.lab.outside, at, 0, func(c *traffic.Conn) error {
		return s.timed(ctx, attackMeasure(a, "UDP request", 1), side, saw, c.Ask)
	})
	return err
}

// timed takes the median of round trips, once most are fast.
func (s *isolation) timed(ctx context.Context, m measure, side string, saw *seen, send func(n int) ([]time.Duration, error)) error {
	err := untilFast(ctx, 1, s.during, func() (int, error) {
		_, err := send(warmPings)
		return 2 * warmPings, err
	})
	if err != nil {
		return err
	}
	var times []time.Duration
	what, err := s.during(func() (err error) { times, err = send(s.pings); return err })
	if err != nil {
		return err
	}
	s.results.add(m, side, micro(traffic.Quartiles(times)[1]), what)
	if side == attackOn {
		for why, n := range what.why {
			saw.slow.why[why] += n
		}
	}
	return nil
}

// during returns what became of red's packets while do ran.
func (s *isolation) during(do func() error) (counted, error) {
	before, _, err := s.managed.counts(red)
	if err == nil {
		err = do()
	}
	if err != nil {
		return counted{}, err
	}
	after, _, err := s.managed.counts(red)
	return after.since(before), err
}

// look sees what the attack has left.
func (s *isolation) look(ctx context.Context, saw *seen, before counted, side string) error {
	after, _, err := s.managed.counts(red)
	if err != nil {
		return err
	}
	saw.differ += after.differ - before.differ
	if side != attackOn {
		return nil
	}
	_, entries, err := s.managed.counts(blue)
	if err != nil {
		return err
	}
	saw.entries = max(saw.entries, entries)
	found, err := s.managed.strange(ctx)
	for _, text := range found.taken {
		saw.taken[text] = true
	}
	for _, text := range found.named {
		saw.named[text] = true
	}
	return err
}

// attackMeasure is what is measured of an attack.
func attackMeasure(a attack, what string, nth int) measure {
	order := 0
	for i, other := range attacks() {
		if other.name == a.name {
			order = 2*i + nth
		}
	}
	return measure{name: a.name + ": " + what, unit: "µs", digits: 2, order: order}
}
