// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/gate"
)

const tick = 200 * time.Millisecond

// oneEvent is by how much, in events a second, one event more or less in a tick changes an average
// over the last second: 1-exp(-0.2) of 5.
const oneEvent = 0.91

// host is what the controller sees of one: gates, and somebody who takes the events.
type host struct {
	controller *gate.Controller
	// rates are how many events a second there are of each identifier.
	rates map[uint16]float64
	// sampling is the threshold of all gates.
	sampling gate.Threshold
	// capacity is how many events a second can be taken, room for how many there is room.
	capacity, room float64

	now, passing, unread float64 // seconds, events
	taken, busy, lost    float64
	levels               map[uint16]gate.Level
	passed               map[uint16]float64
}

func newHost(opts gate.Options) *host {
	return &host{
		controller: gate.New(opts), rates: map[uint16]float64{}, levels: map[uint16]gate.Level{},
		passed: map[uint16]float64{}, now: 1, capacity: math.Inf(1), room: math.Inf(1),
	}
}

// run lets the time pass, and returns how many events a second got through of each identifier.
func (h *host) run(length time.Duration) map[uint16]float64 {
	before := map[uint16]float64{}
	for id, n := range h.passed {
		before[id] = n
	}
	for range length / tick {
		h.step()
	}
	through := map[uint16]float64{}
	for id := range h.rates {
		through[id] = (h.passed[id] - before[id]) / length.Seconds()
	}
	return through
}

func (h *host) step() {
	const seconds = float64(tick) / float64(time.Second)
	h.now += seconds
	for id, rate := range h.rates {
		n := rate * seconds * max(h.sampling, h.levels[id].Threshold()).Share()
		h.passed[id] += n
		h.passing += n
		h.unread += n
	}
	taken := min(h.unread, h.capacity*seconds)
	h.taken += taken
	h.busy += taken / h.capacity
	h.unread -= taken
	h.lost += max(0, h.unread-h.room)
	h.unread = min(h.unread, h.room)
	changes, _ := h.controller.Step(h.sample())
	for _, c := range changes {
		if c.From != h.levels[c.ID] {
			panic("a change of a level that it is not")
		}
		h.levels[c.ID] = c.To
	}
}

func (h *host) sample() gate.Sample {
	s := gate.Sample{
		Sampling: h.sampling,
		At:       uint64(h.now * 1e9), Emitted: uint64(h.passing), Taken: uint64(h.taken), PerPing: 20,
		Busy: time.Duration(h.busy * 1e9), Unread: int(h.unread), Room: int(min(h.room, math.MaxInt32)),
		Passed: func(counts *[gate.Identifiers]uint32) error {
			for id, n := range h.passed {
				counts[id] = uint32(n)
			}
			return nil
		},
	}
	return s
}

// Whoever sends no more than its fair share loses nothing; whoever sends more keeps at least
// half of a fair share; and all together is no more than the limit.
func TestRateIsSharedFairly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Float64Range(10, 5000).Draw(t, "pings a second") * 20
		h := newHost(gate.Options{MaxRate: limit / 20})
		n := rapid.IntRange(1, 40).Draw(t, "senders")
		total := 0.0
		for i := range n {
			// From one ping a minute to a million events a second.
			h.rates[uint16(i*977)] = math.Exp(rapid.Float64Range(math.Log(0.3), math.Log(1e6)).Draw(t, "rate"))
			total += h.rates[uint16(i*977)]
		}
		// Rates are known from whole events, and so is what they leave of the limit.
		unsure := oneEvent * float64(n+1)
		share, leastShare := shareOf(h.rates, limit), shareOf(h.rates, limit-unsure)
		h.run(20 * time.Second)
		sum := 0.0
		for id, got := range h.run(10 * time.Second) {
			sum += got
			rate := h.rates[id]
			switch {
			case rate < leastShare*0.95-unsure && h.levels[id] > 0:
				t.Errorf("%.1f events a second, the fair share is %.1f, and the level is %d", rate, share, h.levels[id])
			case rate > share*1.05 && got < (share-unsure)*0.45:
				t.Errorf("%.1f of %.1f events a second, and the fair share is %.1f", got, rate, share)
			}
		}
		if sum > limit*1.1+unsure {
			t.Errorf("%.0f events a second of %.0f got through, and the limit is %.0f", sum, total, limit)
		}
	})
}

// several calls do so many times with numbers drawn between two bounds. Simulated minutes take too
// long for as many as rapid draws.
func several(t *testing.T, times int, do func(*testing.T, func(low, high float64) float64)) {
	t.Helper()
	for seed := range uint64(times) {
		r := rand.New(rand.NewPCG(seed, 7))
		do(t, func(low, high float64) float64 { return low + (high-low)*r.Float64() })
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// shareOf finds the fair share by trying.
func shareOf(rates map[uint16]float64, limit float64) float64 {
	low, high := 0.0, 1e12
	for range 200 {
		middle, sum := (low+high)/2, 0.0
		for _, rate := range rates {
			sum += min(rate, middle)
		}
		if sum <= limit {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// Without a rate, a flood that the room for events can take is traced completely, a longer one
// is kept within what the machine can do before an event is lost, and when it is over all
// gates are opened.
func TestOverload(t *testing.T) {
	several(t, 10, func(t *testing.T, between func(low, high float64) float64) {
		h := newHost(gate.Options{})
		h.capacity = between(5e4, 1e6)
		flood := h.capacity * between(1.2, 5)
		h.room = flood * between(2, 5)
		const red, blue = 1, 2
		h.rates[blue] = between(1, 500)
		h.run(time.Second)

		h.rates[red] = flood
		h.run(time.Duration(0.4 * h.room / flood * float64(time.Second)))
		if h.levels[red] > 0 {
			t.Errorf("a flood is gated at level %d with %.0f of room for %.0f events used", h.levels[red], h.unread, h.room)
		}
		h.run(20 * time.Second)
		got := h.run(20 * time.Second)
		if h.lost > 0 {
			t.Errorf("%.0f events lost", h.lost)
		}
		if most := h.capacity * 0.3; got[red] > most || got[red] < min(h.capacity, 4e4)*0.05 {
			t.Errorf("%.0f events a second of the flood, the capacity is %.0f", got[red], h.capacity)
		}
		if h.levels[blue] > 0 || h.unread > h.room/16 {
			t.Errorf("blue's level is %d, unread are %.0f of %.0f", h.levels[blue], h.unread, h.room)
		}
		h.rates[red] = 0
		h.run(40 * time.Second)
		h.rates[red] = 100
		h.run(time.Second)
		if h.levels[red] > 0 {
			t.Errorf("after the flood the level is %d", h.levels[red])
		}
	})
}

// Who stands still while events come in is not taken for a slow machine for good.
func TestStall(t *testing.T) {
	h := newHost(gate.Options{})
	h.capacity, h.room = 1, 3e6
	h.rates[1] = 400_000
	h.run(5 * time.Second)
	if h.levels[1] == 0 || h.lost > 0 {
		t.Fatalf("level %d, %.0f events lost", h.levels[1], h.lost)
	}
	h.capacity = 1e6
	h.run(time.Minute)
	if got := h.run(10 * time.Second); got[1] < 100_000 {
		t.Errorf("%.0f events a second, and it could be a quarter of a million; level %d", got[1], h.levels[1])
	}
}

// What one ping had as identifiers before and after NAT has one level.
func TestAliasesHaveOneLevel(t *testing.T) {
	h := newHost(gate.Options{MaxRate: 100})
	h.rates[10], h.rates[20], h.rates[30] = 60_000, 20_000, 9_000
	h.controller.Alias(20, 10, uint64(h.now*1e9))
	for range 100 {
		h.step()
		if h.levels[10] != h.levels[20] {
			t.Fatalf("levels %v", h.levels)
		}
	}
	if h.levels[10] <= h.levels[30] {
		t.Errorf("levels %v", h.levels)
	}
	h.run(2 * time.Minute) // is forgotten
	if h.levels[10] <= h.levels[20] {
		t.Errorf("levels %v", h.levels)
	}
}

// All identifiers are used by one who floods: the limit holds, and nobody is treated better.
func TestEveryIdentifier(t *testing.T) {
	h := newHost(gate.Options{MaxRate: 1000.0 / 16})
	for id := range gate.Identifiers / 16 {
		h.rates[uint16(id)] = 20
	}
	h.run(30 * time.Second)
	sum := 0.0
	for _, got := range h.run(10 * time.Second) {
		sum += got
	}
	if sum > 22_000.0/16 || sum < 5_000.0/16 {
		t.Errorf("%.0f events a second", sum)
	}
}

func TestCountsCannotBeRead(t *testing.T) {
	c := gate.New(gate.Options{MaxRate: 1})
	broken := errors.New("broken")
	s := gate.Sample{At: 1, Passed: func(*[gate.Identifiers]uint32) error { return broken }}
	if _, err := c.Step(s); !errors.Is(err, broken) {
		t.Error(err)
	}
	s.At, s.Emitted = 2, 1e6
	if _, err := c.Step(s); !errors.Is(err, broken) {
		t.Error(err)
	}
}
