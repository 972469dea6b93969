// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// What is of no use any more goes, of both families; what is in use stays. The programs' count of entries is right
// afterwards.
func TestSweep(t *testing.T) {
	b := newLab(t, 0).open()
	now, second := jiffies(t, b), uint64(b.kernel.hz)
	entries := []struct {
		name  string
		entry plainFlow
		stays bool
	}{
		{"in use", plainFlow{Approval: 1, Used: now}, true},
		{"idle", plainFlow{Approval: 1, Used: now - 60*second}, false},
		{"idle, not long", plainFlow{Approval: 1, Used: now - 20*second}, true},
		{"refused, idle, not long", plainFlow{Denied: uint32(flow.Helper), Used: now - 20*second}, true},
		{"never approved, idle for a quarter", plainFlow{Used: now - 20*second}, false},
		{"never approved, in use", plainFlow{Used: now - 5*second}, true},
		{"ended", plainFlow{Approval: 1, Used: now, Ended: uint32(flow.Moved)}, false},
	}
	want := map[flow.Key]string{}
	for i, e := range entries {
		for _, is4 := range []bool{true, false} {
			e.entry.Id, e.entry.Slot = uint64(i+1), 3
			put(t, b, udp(is4, i), e.entry)
			if e.stays {
				want[udp(is4, i)] = e.name
			}
		}
	}
	n, err := b.Sweep(t.Context(), time.Minute)
	if err != nil || n != 2*len(entries)-len(want) {
		t.Errorf("%d went, want %d: %v", n, 2*len(entries)-len(want), err)
	}
	got := map[flow.Key]string{}
	for k, f := range all(t, b) {
		got[k] = entries[f.ID-1].name
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[uint16]int{3: len(want)}, usage(t, b)); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if n, err := b.Sweep(t.Context(), time.Minute); n != 0 || err != nil {
		t.Errorf("%d more: %v", n, err)
	}
}

// A tenant's flows can be removed, and those of others that go to its port; or all.
func TestFlush(t *testing.T) {
	b := newLab(t, 0).open()
	for i, e := range []plainFlow{{Slot: 1}, {Slot: 2}, {Slot: 2, Other: 1}, {Slot: 3}} {
		e.Id = uint64(i + 1)
		put(t, b, udp(true, i), e)
	}
	if n, err := b.Flush(1); n != 2 || err != nil {
		t.Errorf("%d went: %v", n, err)
	}
	if diff := cmp.Diff(map[uint16]int{2: 1, 3: 1}, usage(t, b)); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if n, err := b.Flush(0); n != 2 || err != nil {
		t.Errorf("%d went: %v", n, err)
	}
	if left := len(all(t, b)) + len(usage(t, b)); left != 0 {
		t.Errorf("%d are left", left)
	}
}

// Before programs that were running have ended, nothing is forgotten.
func TestSweepWaits(t *testing.T) {
	b := newLab(t, 0).open()
	put(t, b, udp(true, 1), plainFlow{Id: 1, Slot: 1})
	if err := b.grace.close(); err != nil { // so that waiting fails
		t.Fatal(err)
	}
	if n, err := b.Flush(0); n != 0 || err == nil {
		t.Errorf("%d went: %v", n, err)
	}
	f, err := b.Get(udp(true, 1))
	if err != nil || f.Ended != flow.Changed {
		t.Errorf("%+v, want one that has ended: %v", f, err)
	}
}

// A sweep ends with its context.
func TestSweepIsCancelled(t *testing.T) {
	b := newLab(t, 0).open()
	put(t, b, udp(true, 1), plainFlow{Id: 1, Slot: 1, Ended: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := b.Sweep(ctx, time.Minute); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d went: %v", n, err)
	}
}

// The fuller a tenant's share is, the sooner its idle flows go: those first that were never approved, and no more
// of the others than is needed. Another tenant's stay.
func TestSweepWhenFull(t *testing.T) {
	const capacity, idle, flooded, other = 100, time.Hour, 3, 4
	// A flow that is used then is in use, however slow this machine is.
	const never = -time.Minute
	for _, c := range []struct {
		name                        string
		fresh, unapproved, approved int // flows in use, and idle ones
		since                       time.Duration
		left                        int
	}{
		{"less than half", 20, 10, 10, 14 * time.Minute, 40},
		{"half: unapproved", 20, 20, 20, 4 * time.Minute, 40},
		{"half: a quarter of the time", 20, 20, 20, 16 * time.Minute, 20},
		{"half: approved, not long", 20, 0, 40, 14 * time.Minute, 60},
		{"three quarters: unapproved are enough", 20, 40, 30, 4 * time.Minute, 50},
		{"three quarters: some unapproved are enough", 20, 40, 30, 4 * time.Second, 74},
		{"three quarters: not enough", 20, 10, 70, 4 * time.Second, 74},
		{"full of flows in use", 100, 0, 0, never, 100},
		{"full, 3 s are not over", 20, 40, 40, never, 100},
	} {
		b := newLab(t, 0).open()
		if err := b.SetTenants([]Tenant{{Slot: flooded, Number: 1, Capacity: capacity}, {Slot: other, Number: 2, Capacity: capacity}}); err != nil {
			t.Fatal(err)
		}
		now := jiffies(t, b)
		number := 0
		add := func(n int, since time.Duration, e plainFlow) {
			for range n {
				number++
				e.Id, e.Used = uint64(number), now-uint64(int64(since/time.Second)*int64(b.kernel.hz))
				put(t, b, udp(true, number), e)
			}
		}
		add(c.fresh, never, plainFlow{Slot: flooded})
		add(c.unapproved, c.since, plainFlow{Slot: flooded})
		add(c.approved, c.since, plainFlow{Slot: flooded, Approval: 1})
		add(10, c.since, plainFlow{Slot: other, Approval: 1})
		n, err := b.Sweep(t.Context(), idle)
		if gone := c.fresh + c.unapproved + c.approved - c.left; err != nil || n != gone {
			t.Errorf("%s: %d went, want %d: %v", c.name, n, gone, err)
		}
		if diff := cmp.Diff(map[uint16]int{flooded: c.left, other: 10}, usage(t, b)); diff != "" {
			t.Errorf("%s: usage (-want +got):\n%s", c.name, diff)
		}
		in := 0
		for _, f := range all(t, b) {
			if f.ID <= uint64(c.fresh) {
				in++
			}
		}
		if in != c.fresh {
			t.Errorf("%s: of %d flows in use, %d are left", c.name, c.fresh, in)
		}
	}
}
