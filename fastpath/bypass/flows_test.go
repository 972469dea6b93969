// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// All flows of both families are listed once, more than are read at once, and can be changed meanwhile.
func TestFlows(t *testing.T) {
	const each = chunk + 100
	b := newLab(t, 0).open()
	for i := range each {
		for _, is4 := range []bool{true, false} {
			put(t, b, udp(is4, i), plainFlow{Id: uint64(i + 1), Slot: 1})
		}
	}
	seen := map[flow.Key]uint64{}
	err := b.Flows(func(f *flow.Flow) bool {
		if _, twice := seen[f.Key]; twice {
			t.Errorf("%+v was passed twice", f.Key)
		}
		seen[f.Key] = f.ID
		if err := b.End(f.Key, f.ID, flow.Ended); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil || len(seen) != 2*each {
		t.Fatalf("%d flows, want %d: %v", len(seen), 2*each, err)
	}
	for i := range each {
		if k := udp(false, i); seen[k] != uint64(i+1) {
			t.Errorf("%+v has ID %d", k, seen[k])
		}
	}
	n := 0
	if err := b.Flows(func(f *flow.Flow) bool {
		if n++; f.Ended != flow.Ended {
			t.Errorf("%+v has not ended: %v", f.Key, f.Ended)
		}
		return n < 3
	}); err != nil || n != 3 {
		t.Errorf("%d calls: %v", n, err)
	}
}

// One flow can be looked up by its key, of both families, and none that is not there.
func TestGet(t *testing.T) {
	b := newLab(t, 0).open()
	for _, is4 := range []bool{true, false} {
		put(t, b, udp(is4, 7), plainFlow{Id: 9})
		f, err := b.Get(udp(is4, 7))
		if err != nil || f.ID != 9 || f.Key != udp(is4, 7) {
			t.Errorf("got %+v: %v", f, err)
		}
		if _, err := b.Get(udp(is4, 8)); !errors.Is(err, ErrGone) {
			t.Errorf("error %v, want ErrGone", err)
		}
	}
	if _, err := b.Get(flow.Key{}); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
}

// What is settled is so for both directions, and for no other flow that has the key.
func TestSettle(t *testing.T) {
	b := newLab(t, 0).open()
	for _, is4 := range []bool{true, false} {
		forth, back := &flow.Flow{Key: udp(is4, 1), ID: 11}, &flow.Flow{Key: udp(is4, 2), ID: 12}
		put(t, b, forth.Key, plainFlow{Id: forth.ID})
		put(t, b, back.Key, plainFlow{Id: back.ID})
		check := func(what string, approval uint32, denied flow.Reason, detail uint32) {
			t.Helper()
			for _, f := range []*flow.Flow{forth, back} {
				got, err := b.Get(f.Key)
				if err != nil || got.Approval != approval || got.Denied != denied || got.Detail != detail {
					t.Errorf("%s: %+v, %v", what, got, err)
				}
			}
		}
		if err := b.Refuse(forth, back, 3, flow.Helper, 77); err != nil {
			t.Fatal(err)
		}
		check("refused", 3, flow.Helper, 77)
		if err := b.Approve(forth, back, 5); err != nil {
			t.Fatal(err)
		}
		check("approved", 5, flow.Fast, 0)
		other := &flow.Flow{Key: forth.Key, ID: 13}
		gone := &flow.Flow{Key: udp(is4, 3), ID: 1}
		for _, err := range []error{
			b.Approve(other, back, 6), b.Approve(gone, back, 6), b.Refuse(other, back, 6, flow.Helper, 1),
			b.End(gone.Key, gone.ID, flow.Ended), b.End(other.Key, other.ID, flow.Ended),
		} {
			if !errors.Is(err, ErrGone) {
				t.Errorf("error %v, want ErrGone", err)
			}
		}
		check("another's", 5, flow.Fast, 0)
		for _, err := range []error{
			b.Approve(forth, back, 0), b.Refuse(forth, back, 0, flow.Helper, 0), b.Refuse(forth, back, 1, flow.Fast, 0), b.End(forth.Key, forth.ID, flow.Fast),
		} {
			if err == nil || errors.Is(err, ErrGone) {
				t.Errorf("error %v", err)
			}
		}
		check("without number or reason", 5, flow.Fast, 0)
	}
}

// TCP is not approved before its connection has the flag.
func TestNotLiberal(t *testing.T) {
	b := newLab(t, 0).open()
	if err := b.SetTenants([]Tenant{{Slot: 1, Number: 1, Mode: flow.On, Capacity: 10}}); err != nil {
		t.Fatal(err)
	}
	forth, back := &flow.Flow{Key: udp(true, 1), ID: 1}, &flow.Flow{Key: udp(true, 2), ID: 2}
	for _, f := range []*flow.Flow{forth, back} {
		f.Key.Proto = 6
		put(t, b, f.Key, plainFlow{Id: f.ID, Slot: 1, Conn: 1}) // where there is none
	}
	if err := b.Approve(forth, back, 1); !errors.Is(err, ErrNotLiberal) {
		t.Errorf("error %v, want ErrNotLiberal", err)
	}
}
