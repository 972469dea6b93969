// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
)

// shapeOf returns the shape of a ping whose events are in these buffers and on these CPUs.
func shapeOf(t *testing.T, local bool, buffers []uint64, cpus []uint16) *shape {
	t.Helper()
	p := &ping{dated: true, local: local}
	for i := range buffers {
		p.events = append(p.events, event.Event{Time: uint64(i), SKB: buffers[i], CPU: cpus[i]})
	}
	s := new(shape)
	if !s.of(p) {
		t.Fatalf("no shape: %+v", p)
	}
	return s
}

// What a shape says is which events are of one buffer and on one CPU, not of which and on which.
func TestSameShape(t *testing.T) {
	buffers, cpus := []uint64{9, 9, 5, 0, 9}, []uint16{1, 1, 0, 0, 1}
	one := shapeOf(t, false, buffers, cpus)
	for _, tc := range []struct {
		name    string
		local   bool
		buffers []uint64
		cpus    []uint16
		same    bool
	}{
		{"equal", false, buffers, cpus, true},
		{"others", false, []uint64{7, 7, 8, 0, 7}, []uint16{0, 0, 3, 3, 0}, true},
		{"a buffer more", false, []uint64{9, 9, 5, 0, 4}, cpus, false},
		{"a buffer less", false, []uint64{9, 9, 9, 0, 9}, cpus, false},
		{"another's buffer", false, []uint64{9, 9, 5, 0, 5}, cpus, false},
		{"no buffer", false, []uint64{0, 0, 5, 0, 0}, cpus, false},
		{"a buffer instead of none", false, []uint64{9, 9, 5, 9, 9}, cpus, false},
		{"another CPU", false, buffers, []uint16{1, 1, 0, 0, 0}, false},
		{"an event less", false, buffers[:4], cpus[:4], false},
		{"local", true, buffers, cpus, false},
	} {
		other := shapeOf(t, tc.local, tc.buffers, tc.cpus)
		if got := one.same(other); got != tc.same {
			t.Errorf("%s: same: %v, want %v", tc.name, got, tc.same)
		}
		if (one.hash == other.hash) != tc.same && tc.name != "local" {
			t.Errorf("%s: equal hashes: %v, want %v", tc.name, one.hash == other.hash, tc.same)
		}
	}
	before := *one
	if one.of(&ping{dated: true, events: make([]event.Event, 1)}); before.same(one) {
		t.Error("a shape is the same after it was made that of another ping")
	}
}

// What a shape does not tell, no shape has.
func TestNoShape(t *testing.T) {
	in := func(times ...uint64) []event.Event {
		var all []event.Event
		for _, at := range times {
			all = append(all, event.Event{Time: at})
		}
		return all
	}
	long := make([]uint64, maxShape+1)
	for i := range long {
		long[i] = uint64(i)
	}
	acted := in(1, 2)
	acted[1].Hook = event.Acted
	for name, p := range map[string]*ping{
		"nothing":      {},
		"closed early": {events: in(1, 2), cause: "evicted"},
		"out of order": {events: in(1, 3, 2)},
		"at one time":  {events: in(1, 2, 2)},
		"too long":     {events: in(long...)},
		"done to":      {events: acted},
	} {
		p.dated = true
		if new(shape).of(p) {
			t.Errorf("%s: has a shape", name)
		}
	}
	if !new(shape).of(&ping{dated: true, events: in(long[:maxShape]...)}) {
		t.Error("the longest has no shape")
	}
}
