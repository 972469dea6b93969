// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// TestShare wants tables of which no tenants can use more than there is, and no tenant to have less than was
// asked for without need.
func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		began := rapid.IntRange(0, bypass.MaxTenants-1).Draw(t, "tenants at first")
		now := rapid.IntRange(0, bypass.MaxTenants-1).Draw(t, "tenants now")
		asked := rapid.IntRange(1, 131072).Draw(t, "asked")
		room := roomFor(began, asked)
		if room < leastRoom || room > mostRoom {
			t.Fatalf("room for %d", room)
		}
		devices := []bypass.Device{{Index: 1}}
		for i := range now {
			for range rapid.IntRange(1, 3).Draw(t, "ports") {
				devices = append(devices, bypass.Device{Port: true, Slot: uint16(i + 1)})
			}
		}
		share := shareOf(asked, room, devices)
		if share < 1 || share > asked || share*now > room {
			t.Errorf("%d tenants have %d each of %d", now, share, room)
		}
		if now <= began && began*asked <= mostRoom && share != asked {
			t.Errorf("%d, although there would be room for %d", share, asked)
		}
	})
}

// TestSmallTables wants tenants to share tables that are too small, and to be told.
func TestSmallTables(t *testing.T) {
	w := newWorld(t)
	w.programs.room = 120
	w.started(flow.On, flow.On)
	w.programs.mu.Lock()
	for _, of := range w.programs.tenants {
		if of.Capacity != 60 {
			t.Errorf("%+v", of)
		}
	}
	w.programs.usage = map[uint16]int{1: 60}
	w.programs.mu.Unlock()
	s, err := w.m.Status(t.Context(), Query{Operator: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, problems := range []int{2, 1} { // the first has no room any more
		got := s.Tenants[i]
		if got.Capacity != 60 || len(got.Problems) != problems || !strings.Contains(got.Problems[problems-1], "60 entries in place of 100") {
			t.Errorf("%+v", got)
		}
	}
	if all := w.m.Stats().Tenants; all[0].Capacity != 60 || all[0].Problems != 1 || all[1].Problems != 0 {
		t.Errorf("%+v", all)
	}
}
