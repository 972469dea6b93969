// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However looks are asked for, there are no more than were saved up and earned, and none while
// more time was used than that.
func TestBudgetBoundsLooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := time.Unix(1e9, 0)
		now := begin
		b := newBudget(now)
		b.rate = float64(rapid.IntRange(1, 1000).Draw(t, "rate"))
		b.burst = float64(rapid.IntRange(1, 1000).Draw(t, "burst"))
		b.looks = b.burst
		granted, used := 0, time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "passes")))
			passed := now.Sub(begin)
			for range rapid.IntRange(0, 20).Draw(t, "asked") {
				if !b.take(rapid.SampledFrom([]need{refresh, urgent}).Draw(t, "need"), now) {
					continue
				}
				granted++
				if most := b.burst + b.rate*passed.Seconds() + 1e-6; float64(granted) > most {
					t.Fatalf("%d looks in %v, want %v at most", granted, passed, most)
				}
				if most := lookSaved + time.Duration(lookShare*float64(passed)) + time.Microsecond; used > most {
					t.Fatalf("a look after %v of CPU time in %v, want %v at most", used, passed, most)
				}
				took := time.Duration(rapid.Int64Range(0, int64(20*time.Millisecond)).Draw(t, "took"))
				b.spend(took)
				used += took
			}
		}
	})
}

// What is only old leaves half of the looks and of the time to what is not known.
func TestRefreshesLeaveHalf(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, each := range []time.Duration{0, time.Millisecond} {
		b := newBudget(now)
		count := func(n need) (looks int) {
			for b.take(n, now) {
				b.spend(each)
				looks++
			}
			return looks
		}
		old, unknown := count(refresh), count(urgent)
		if old == 0 || unknown < old-1 || unknown > old+1 {
			t.Errorf("%v a look: %d of what is old and then %d of what is not known, want as many", each, old, unknown)
		}
		if each == 0 && old+unknown != lookBurst {
			t.Errorf("%d looks, want %d", old+unknown, lookBurst)
		}
	}
}

// After the time that wait tells there is a look.
func TestBudgetTellsWhen(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := newBudget(now)
	for b.take(urgent, now) {
		b.spend(time.Millisecond)
	}
	b.spend(time.Millisecond)
	wait := b.wait(now)
	if wait >= longestWait || b.take(urgent, now.Add(wait-time.Millisecond)) || !b.take(urgent, now.Add(wait+time.Millisecond)) {
		t.Errorf("told %v, which is not when there is one", wait)
	}
	b.spend(time.Hour)
	if wait = b.wait(now); wait != longestWait {
		t.Errorf("told %v, want no more than %v", wait, longestWait)
	}
}
