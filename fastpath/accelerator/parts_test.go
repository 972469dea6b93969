// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/bystanders"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// TestQueueIsFair wants a flow of a tenant to wait at most for one of each other tenant, whatever those
// ask for, and no more to wait than there is room for.
func TestQueueIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue()
		waiting, put := map[uint16]int{}, map[uint16]uint64{}
		before := map[uint16]int{} // others' flows that were decided since a tenant has had one waiting
		for range rapid.IntRange(1, 2000).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "what") > 0 {
				slot := uint16(rapid.SampledFrom([]int{1, 1, 1, 1, 1, 2, 3}).Draw(t, "slot"))
				took := q.push(slot, bypass.Candidate{ID: uint64(slot)})
				if took != (waiting[slot] < laneRoom) {
					t.Fatalf("slot %d with %d waiting: taken %t", slot, waiting[slot], took)
				}
				if took {
					waiting[slot]++
				} else {
					put[slot]++
				}
				continue
			}
			c, ok := q.next()
			if ok != (waiting[1]+waiting[2]+waiting[3] > 0) {
				t.Fatalf("next: %t with %v waiting", ok, waiting)
			}
			if !ok {
				continue
			}
			slot := uint16(c.ID)
			waiting[slot]--
			before[slot] = 0
			for other, n := range waiting {
				if other != slot && n > 0 {
					if before[other]++; before[other] > 2 {
						t.Fatalf("slot %d has to wait for %d others", other, before[other])
					}
				}
			}
		}
		for _, slot := range []uint16{1, 2, 3} {
			if n, off := q.of(slot); n != waiting[slot] || off != put[slot] {
				t.Fatalf("slot %d: %d waiting, %d put off; want %d, %d", slot, n, off, waiting[slot], put[slot])
			}
		}
	})
}

// TestPop wants whoever waits to be told, and to be let go.
func TestPop(t *testing.T) {
	q := newQueue()
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan uint64)
	go func() {
		defer close(got)
		for {
			c, ok := q.pop(ctx)
			if !ok {
				return
			}
			got <- c.ID
		}
	}()
	for id := range uint64(3) {
		q.push(1, bypass.Candidate{ID: id})
	}
	for id := range uint64(3) {
		if n := <-got; n != id {
			t.Errorf("%d, not %d", n, id)
		}
	}
	stop()
	if _, more := <-got; more {
		t.Error("more than was put in")
	}
}

func TestSlots(t *testing.T) {
	s := newSlots()
	fresh, without := s.assign([]string{"a", "b"})
	if !slices.Equal(fresh, []uint16{1, 2}) || len(without) != 0 {
		t.Errorf("%v %v", fresh, without)
	}
	if fresh, _ = s.assign([]string{"c"}); !slices.Equal(fresh, []uint16{3}) {
		t.Errorf("another's number is given away: %v", fresh)
	}
	if fresh, _ = s.assign([]string{"a", "c"}); len(fresh) != 0 || s.of["a"] != 1 {
		t.Errorf("a has another number: %v", s.of)
	}
	many := []string{"c"}
	for i := range bypass.MaxTenants {
		many = append(many, fmt.Sprintf("t%d", i))
	}
	fresh, without = s.assign(many)
	// All but that of c: those of a and b are only taken because there are no others.
	if len(fresh) != bypass.MaxTenants-2 || len(without) != 2 || s.of["c"] != 3 || s.of["a"] != 0 {
		t.Errorf("%d fresh, without %v, c %d, a %d", len(fresh), without, s.of["c"], s.of["a"])
	}
	seen := map[uint16]bool{}
	for id, slot := range s.of {
		if seen[slot] || slot == 0 || slot >= bypass.MaxTenants || s.by[slot] != id {
			t.Errorf("%s has %d", id, slot)
		}
		seen[slot] = true
	}
}

// TestMeter wants counts to go on when programs are removed and made again, and to begin anew
// with a tenant.
func TestMeter(t *testing.T) {
	counts := func(fast, ttl uint64) []bypass.Counts {
		return []bypass.Counts{{Slot: 1, Direction: flow.ToTenant, Fast: fast, Slow: map[flow.Reason]uint64{flow.TTL: ttl}}}
	}
	key := countKey{1, flow.ToTenant}
	m := newMeter()
	m.open(counts(100, 50)) // another agent's
	check := func(what string, now []bypass.Counts, fast, ttl uint64) {
		t.Helper()
		if c := m.read(now)[key]; c.Fast != fast || c.Slow[flow.TTL] != ttl {
			t.Errorf("%s: %+v", what, c)
		}
	}
	check("at first", counts(100, 50), 0, 0)
	check("later", counts(107, 51), 7, 1)
	m.end(counts(108, 52))
	check("without programs", nil, 8, 2)
	m.open(nil)
	check("with new programs", counts(3, 4), 11, 6)
	m.begin(1, counts(3, 4))
	check("with another tenant", counts(4, 4), 1, 0)
}

func TestDetails(t *testing.T) {
	var d details
	a, b := d.number("a"), d.number("b")
	if a == 0 || a == b || d.number("a") != a || d.text(a) != "a" || d.text(b) != "b" || d.number("") != 0 || d.text(0) != "" || d.text(99) != "" {
		t.Errorf("%d %d %q %q", a, b, d.text(a), d.text(b))
	}
	d.renew()
	if c := d.number("c"); d.text(c) != "c" || d.text(a) != "" || d.text(b) != "" {
		t.Errorf("after renewing: %q %q %q", d.text(c), d.text(a), d.text(b))
	}
	for i := range maxDetails + 10 {
		d.number(fmt.Sprint(i))
	}
	if len(d.list) != maxDetails || d.number("one more") != 0 {
		t.Errorf("%d sentences", len(d.list))
	}
}

// TestSteady wants a guest that changes its device again and again not to have all flows asked about again.
func TestSteady(t *testing.T) {
	s := steady{noPeer: map[int]time.Time{}}
	settled := func(peer bool) bool {
		devices := []bypass.Device{{Index: 2}, {Index: 11, Port: true, Peer: peer}}
		s.settle(devices)
		return devices[1].Peer
	}
	for _, c := range []struct{ peer, want bool }{{true, true}, {false, false}, {true, false}, {true, false}} {
		if got := settled(c.peer); got != c.want {
			t.Errorf("peer %t: %t", c.peer, got)
		}
	}
	s.noPeer[11] = time.Now().Add(-steadyFor)
	if !settled(true) {
		t.Error("it is never steady again")
	}
}

// TestDiffers wants a change of one tenant's devices to be that tenant's alone.
func TestDiffers(t *testing.T) {
	of := func(change func(*view)) *view {
		v := &view{
			facts: &bystanders.Facts{Tenants: map[string]string{}}, active: []string{"a", "b"}, tenants: []bypass.Tenant{{Slot: 1}, {Slot: 2}},
			devices: []bypass.Device{{Index: 2}, {Index: 11, Port: true, Slot: 1}, {Index: 21, Port: true, Slot: 2}},
		}
		change(v)
		return v
	}
	old := of(func(*view) {})
	for _, c := range []struct {
		what      string
		change    func(*view)
		slot      uint16
		everybody bool
	}{
		{"nothing", func(*view) {}, 0, false},
		{"a port", func(v *view) { v.devices[2].Blocked = true }, 2, false},
		{"a port that is gone", func(v *view) { v.devices = v.devices[:2] }, 2, false},
		{"a tenant's way", func(v *view) { v.facts.Tenants["a"] = "a queue" }, 1, false},
		{"the NIC", func(v *view) { v.devices[0].Blocked = true }, 0, true},
		{"everybody's way", func(v *view) { v.facts.Blocked = "a queue" }, 0, true},
	} {
		slots, everybody := of(c.change).differs(old)
		if everybody != c.everybody || (len(slots) > 0) != (c.slot > 0) || c.slot > 0 && slots[0] != c.slot {
			t.Errorf("%s: %v, everybody %t", c.what, slots, everybody)
		}
	}
	if _, everybody := old.differs(&view{}); !everybody {
		t.Error("nothing was known")
	}
}
