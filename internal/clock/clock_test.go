// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"errors"
	"testing"
	"time"
)

// fake is a pair of clocks 1000 apart; each reading of the monotonic one takes as long
// as the next of its steps.
type fake struct {
	now   uint64
	steps []uint64
	apart uint64
}

func (f *fake) monotonic() (uint64, error) {
	step := uint64(100)
	if len(f.steps) > 0 {
		step, f.steps = f.steps[0], f.steps[1:]
	}
	f.now += step
	return f.now, nil
}

func (f *fake) wall() (uint64, error) { return f.now + f.apart, nil }

// Of several readings the one during which the least time passed is kept.
func TestTightestReadingIsKept(t *testing.T) {
	f := &fake{apart: 1000, steps: []uint64{5, 900, 5, 2, 5, 700}}
	c, err := New(f.monotonic, f.wall)
	if err != nil {
		t.Fatal(err)
	}
	// The wall clock is read right after the first reading, the middle of the tightest
	// is 1 later.
	if got := c.Offset(f.now); got != 999 {
		t.Errorf("offset %d, want 999", got)
	}
}

func TestOffsetFollowsTheWallClock(t *testing.T) {
	f := &fake{apart: 1000}
	c, err := New(f.monotonic, f.wall)
	if err != nil {
		t.Fatal(err)
	}
	before := c.Offset(f.now)
	f.apart += 12345
	if got := c.Offset(f.now); got != before {
		t.Errorf("measured anew at once: %d", got)
	}
	f.now += uint64(time.Second)
	if got := c.Offset(f.now); got != before+12345 {
		t.Errorf("offset %d, want %d", got, before+12345)
	}
}

func TestUnreadableClock(t *testing.T) {
	broken := errors.New("broken")
	_, err := New(func() (uint64, error) { return 0, broken }, Wall)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestSystemClocks(t *testing.T) {
	kernel, err := Kernel()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(kernel, Wall)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().UnixNano()
	now, err := kernel()
	if err != nil {
		t.Fatal(err)
	}
	wall := int64(now) + c.Offset(now)
	after := time.Now().UnixNano()
	if slack := int64(time.Millisecond); wall < before-slack || wall > after+slack {
		t.Errorf("monotonic clock converts to %d, not within %d..%d", wall, before, after)
	}
}
