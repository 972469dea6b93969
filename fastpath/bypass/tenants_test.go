// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// tenantsOf returns the tenants that the programs know.
func tenantsOf(t *testing.T, b *Bypass) map[int]plainTenant {
	t.Helper()
	list, err := b.readTenants()
	if err != nil {
		t.Fatal(err)
	}
	known := map[int]plainTenant{}
	for slot, e := range list {
		if e != (plainTenant{}) {
			known[slot] = e
		}
	}
	return known
}

// Who is not listed any more is off. Whose slot becomes another's leaves nothing in it.
func TestSetTenants(t *testing.T) {
	b := newLab(t, 0).open()
	set := func(list ...Tenant) {
		t.Helper()
		if err := b.SetTenants(list); err != nil {
			t.Fatal(err)
		}
	}
	set(Tenant{Slot: 1, Number: 11, Mode: flow.On, Capacity: 5}, Tenant{Slot: 255, Number: 12, Mode: flow.Shadow, Capacity: 6})
	if diff := cmp.Diff(map[int]plainTenant{1: {Mode: 2, Number: 11, Capacity: 5}, 255: {Mode: 1, Number: 12, Capacity: 6}}, tenantsOf(t, b)); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
	for i, slot := range []uint16{1, 255} {
		put(t, b, udp(true, i), plainFlow{Id: 1, Slot: slot})
		count(t, b, slot, flow.ToTenant, plainCount{Fast: 1})
	}
	before := numbers(t, b)
	// The first one's settings change; the other slot is given to another.
	set(Tenant{Slot: 1, Number: 11, Mode: flow.Off, Capacity: 7}, Tenant{Slot: 255, Number: 13, Mode: flow.On, Capacity: 8})
	if diff := cmp.Diff(map[int]plainTenant{1: {Number: 11, Capacity: 7}, 255: {Mode: 2, Number: 13, Capacity: 8}}, tenantsOf(t, b)); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[uint16]int{1: 1}, usage(t, b)); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if got, err := b.Counts(); err != nil || len(got) != 1 || got[0].Slot != 1 {
		t.Errorf("counts %+v: %v", got, err)
	}
	if diff := cmp.Diff(map[int]uint64{epochAny: 1, 255: 1}, raised(t, b, before)); diff != "" {
		t.Errorf("raised (-want +got):\n%s", diff)
	}
	set()
	if left := tenantsOf(t, b); len(left) != 0 || len(usage(t, b)) != 0 {
		t.Errorf("left: %v, %v", left, usage(t, b))
	}
}

func TestInvalidTenants(t *testing.T) {
	b := newLab(t, 0).open()
	for _, list := range [][]Tenant{
		{{Slot: 0}}, {{Slot: MaxTenants}}, {{Slot: 1}, {Slot: 1}}, {{Slot: 1, Mode: 3}}, {{Slot: 1, Capacity: -1}}, {{Slot: 1, Capacity: math.MaxInt32 + 1}},
	} {
		if err := b.SetTenants(list); err == nil {
			t.Errorf("%+v is taken", list)
		}
	}
	if got := tenantsOf(t, b); len(got) != 0 {
		t.Errorf("tenants %v", got)
	}
}
