// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/changes"
)

func testGate() (*gate, *fakePrograms) {
	g, p := newGate(func() {}), newFakePrograms()
	g.begin(p, "begin")
	g.concern(map[int]uint16{2: anybody, 11: 1, 12: 1, 21: 2, 31: nobody}, nil)
	p.take()
	return g, p
}

// TestConcerns wants a change of one tenant's devices to slow down that tenant alone.
func TestConcerns(t *testing.T) {
	g, p := testGate()
	for _, c := range []struct {
		devices []int
		want    []string
	}{
		{[]int{11, 12}, []string{"changed [1]"}},
		{[]int{11, 21}, []string{"changed [1 2]"}},
		{[]int{11, 2}, []string{"changed []"}}, // the NIC is everybody's
		{nil, []string{"changed []"}},
		{[]int{31}, nil}, // of a tenant without a fast path
		{[]int{31, 11}, []string{"changed [1]"}},
	} {
		g.change(changes.Change{Kind: changes.Some, Devices: c.devices})
		if did := p.take(); !slices.Equal(did, c.want) {
			t.Errorf("%v: %q, not %q", c.devices, did, c.want)
		}
	}
	g.change(changes.Change{Kind: changes.All | changes.Some, Devices: []int{11}})
	if did := p.take(); !slices.Equal(did, []string{"changed []"}) {
		t.Errorf("all: %q", did)
	}
	// A tenant's devices have to be read again, but others' flows go on.
	g.take()
	g.change(changes.Change{Kind: changes.Some | changes.Devices, Devices: []int{11}})
	if did, d := p.take(), g.dirty; !slices.Equal(did, []string{"changed [1]"}) || d != dirtyDevices {
		t.Errorf("a tenant's device: %q, dirty %b", did, d)
	}
	g.change(changes.Change{Kind: changes.Some | changes.Devices, Devices: []int{11, 2}})
	if did := p.take(); !slices.Equal(did, []string{"hold true", "changed []"}) {
		t.Errorf("the NIC: %q", did)
	}
	g.take()
	g.change(changes.Change{Kind: changes.Devices})
	if did, d := p.take(), g.dirty; len(did) != 0 || d != dirtyDevices {
		t.Errorf("a new device: %q, dirty %b", did, d)
	}
	g.change(changes.Change{})
	if did := p.take(); len(did) != 0 {
		t.Errorf("a sign of life: %q", did)
	}
}

// silent are programs that take no time.
type silent struct{ held bool }

func (s *silent) Hold(held bool)      { s.held = held }
func (s *silent) Changed(_ ...uint16) {}

// TestGateAllocates wants nothing to be allocated between a change and the programs.
func TestGateAllocates(t *testing.T) {
	g, s := newGate(func() {}), &silent{}
	g.begin(s, "begin")
	g.concern(map[int]uint16{11: 1, 12: 3}, nil)
	for _, c := range []changes.Change{
		{Kind: changes.Everything, What: "all"},
		{Kind: changes.Some, Devices: []int{11, 12}, What: "some"},
	} {
		if n := testing.AllocsPerRun(100, func() { g.change(c) }); n > 0 {
			t.Errorf("%s: %v allocations", c.Kind, n)
		}
	}
}

// TestRelease wants a gate to stay closed if something has changed since what was read.
func TestRelease(t *testing.T) {
	g, p := testGate()
	_, holds := g.take()
	g.change(changes.Change{Kind: changes.Rules})
	if g.release(holds) || !p.held {
		t.Error("released too early")
	}
	d, holds := g.take()
	if d != dirtyRules {
		t.Errorf("dirty %b", d)
	}
	if !g.release(holds) || p.held {
		t.Error("not released")
	}
	g.end()
	g.change(changes.Change{Kind: changes.Everything})
	if p.held {
		t.Error("programs that are closed are used")
	}
}

// TestConcernsNobody wants devices that come and go to stop nobody, until they are connected with some that packets
// pass.
func TestConcernsNobody(t *testing.T) {
	g, p := testGate()
	_, holds := g.take()
	g.release(holds)
	p.take()
	const link = changes.Some | changes.Devices
	check := func(what string, c changes.Change, want ...string) {
		t.Helper()
		g.change(c)
		if did := p.take(); !slices.Equal(did, want) || g.dirty&dirtyDevices == 0 {
			t.Errorf("%s: %q, not %q; dirty %b", what, did, want, g.dirty)
		}
	}
	everybody := []string{"hold true", "changed []"}
	check("a new one", changes.Change{Kind: changes.Devices})
	check("it changes", changes.Change{Kind: link, Devices: []int{99}})
	check("it is a port of red's bridge", changes.Change{Kind: link, Devices: []int{11, 99}}, "changed [1]")
	check("it changes then", changes.Change{Kind: link, Devices: []int{99}}, everybody...)
	g.take()
	check("while devices are read", changes.Change{Kind: link, Devices: []int{99}}, everybody...)
	check("another joins meanwhile", changes.Change{Kind: link, Devices: []int{2, 98}}, everybody...)
	g.concern(map[int]uint16{2: anybody, 11: 1, 99: 1}, nil)
	check("it was read", changes.Change{Kind: link, Devices: []int{99}}, "changed [1]")
	check("the other was not", changes.Change{Kind: link, Devices: []int{98}}, everybody...)
	g.take()
	g.concern(map[int]uint16{2: anybody, 11: 1}, nil)
	check("it is gone", changes.Change{Kind: link, Devices: []int{98}})
	check("nothing is said of which", changes.Change{Kind: link}, everybody...)
	g.concern(nil, nil)
	check("nothing is known", changes.Change{Kind: link, Devices: []int{97}}, everybody...)
}
