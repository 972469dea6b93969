// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/tenant"
)

const uuid1, uuid2 = "3f1c9a52-8d3e-4b61-9c0a-2f6f6e0e7a11", "3f1c9a52-8dff-4b61-9c0a-2f6f6e0e7a12"

// Who owns what another one owns is named with it, and where both are defined.
func TestTwoOwners(t *testing.T) {
	red := tenant.Tenant{
		ID: "red", Origin: "red.yaml:1", Ports: []string{"tap1", "tap-*"}, Bridges: []string{"br0"},
		NetNS: []string{"n1"}, Containers: []string{"c1"}, VMs: []string{"v1"}, NeutronPorts: []string{uuid1},
	}
	for _, test := range []struct {
		blue tenant.Tenant
		want string // "" for no conflict
	}{
		{tenant.Tenant{Ports: []string{"tap1"}}, "port tap1"},
		{tenant.Tenant{Ports: []string{"br0"}}, "bridge br0"},
		{tenant.Tenant{Bridges: []string{"br0"}}, "bridge br0"},
		{tenant.Tenant{NetNS: []string{"n1"}}, "namespace n1"},
		{tenant.Tenant{Containers: []string{"c1"}}, "container c1"},
		{tenant.Tenant{VMs: []string{"v1"}}, "VM v1"},
		{tenant.Tenant{NeutronPorts: []string{strings.ToUpper(uuid1)}}, "port " + strings.ToUpper(uuid1)},
		{tenant.Tenant{NeutronPorts: []string{uuid2}}, "port " + uuid2}, // the same 11 characters
		{tenant.Tenant{Ports: []string{"qvo" + uuid1[:11]}}, "port qvo" + uuid1[:11]},
		{tenant.Tenant{Ports: []string{"tap2", "tap-*"}, NetNS: []string{"c1"}, VMs: []string{"n1"}}, ""},
	} {
		test.blue.ID, test.blue.Origin = "blue", "blue.yaml:7"
		for _, both := range [][]tenant.Tenant{{red, test.blue}, {test.blue, red}} {
			_, err := tenant.NewSet(both, nil, nil)
			if test.want == "" {
				if err != nil {
					t.Errorf("%+v: %v", test.blue, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s: no error", test.want)
				continue
			}
			for _, word := range []string{test.want, "tenant red (red.yaml:1)", "tenant blue (blue.yaml:7)"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is not in %q", word, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("one mistake, reported as %q", err)
			}
		}
	}
}

func TestSetErrors(t *testing.T) {
	port := func(id, origin, name string) tenant.Tenant {
		return tenant.Tenant{ID: id, Origin: origin, Ports: []string{name}}
	}
	for _, test := range []struct {
		tenants []tenant.Tenant
		shared  []string
		uplinks []string
		want    []string
	}{
		{[]tenant.Tenant{port("red", "a:1", "p1"), port("red", "b:2", "p2")}, nil, nil, []string{"red", "a:1", "b:2", "twice"}},
		{[]tenant.Tenant{port("../x", "a:1", "p1")}, nil, nil, []string{`"../x"`, "a:1"}},
		{[]tenant.Tenant{port("red", "a:1", "[")}, nil, nil, []string{"red", "a:1", "ports[0]"}},
		{[]tenant.Tenant{{ID: "red", NetNS: []string{"r"}}}, []string{"x", "r"}, nil, []string{"namespace r", "shared", "red"}},
		{[]tenant.Tenant{port("red", "a:1", "up")}, nil, []string{"x", "up"}, []string{"device up", "uplink", "red", "a:1"}},
		{nil, []string{"x", "["}, nil, []string{"shared[1]"}},
		{nil, nil, []string{"x", "a/b"}, []string{"uplinks[1]"}},
	} {
		_, err := tenant.NewSet(test.tenants, test.shared, test.uplinks)
		if err == nil {
			t.Errorf("%v: no error", test.want)
			continue
		}
		for _, word := range test.want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q is not in %q", word, err)
			}
		}
	}
}

func TestNoSet(t *testing.T) {
	var s *tenant.Set
	if s.Len() != 0 || s.IDs() != nil || s.Has("") || s.Has("red") || s.Number("red") != 0 || s.Shared() != nil {
		t.Error("a nil set has tenants")
	}
	if s.Foreign("red")(netip.MustParseAddr("192.0.2.1")) {
		t.Error("a nil set has prefixes")
	}
}

// What is changed after it was given does not change the set.
func TestSetIsItsOwn(t *testing.T) {
	tenants := []tenant.Tenant{{ID: "red", Ports: []string{"p1"}}}
	s, err := tenant.NewSet(tenants, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tenants[0].Ports[0] = "p2"
	s.IDs()[0] = "blue"
	if red, _ := s.Get("red"); red.Ports[0] != "p1" || s.IDs()[0] != "red" {
		t.Error("the set has changed")
	}
}

// A number is the same in every set and run: the kernel keeps it when the agent is gone.
func TestNumbers(t *testing.T) {
	var tenants []tenant.Tenant
	for i := range 1000 {
		tenants = append(tenants, tenant.Tenant{ID: fmt.Sprintf("t%d", i), Ports: []string{fmt.Sprintf("p%d", i)}})
	}
	all, err := tenant.NewSet(tenants, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]bool{0: true}
	for _, id := range all.IDs() {
		n := all.Number(id)
		if seen[n] {
			t.Errorf("%s: number %d is not its own", id, n)
		}
		seen[n] = true
	}
	some, err := tenant.NewSet(tenants[500:], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if some.Number("t700") != all.Number("t700") || some.Number("t1") != 0 || all.Number("t1") != 1653295577 {
		t.Errorf("numbers %d, %d, %d", some.Number("t700"), some.Number("t1"), all.Number("t1"))
	}
}

// Foreign says the same as a comparison with every prefix of every tenant.
func TestForeign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few addresses, so that prefixes meet.
		address := rapid.Custom(func(t *rapid.T) netip.Addr {
			low := rapid.IntRange(0, 15).Draw(t, "low")
			switch rapid.IntRange(0, 2).Draw(t, "family") {
			case 0:
				return netip.AddrFrom4([4]byte{192, 0, 2, byte(low)})
			case 1:
				return netip.MustParseAddr(fmt.Sprintf("::ffff:192.0.2.%d", low))
			}
			return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", low))
		})
		prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
			a := address.Draw(t, "address")
			return netip.PrefixFrom(a, a.BitLen()-rapid.IntRange(0, 5).Draw(t, "wild"))
		})
		var tenants []tenant.Tenant
		for i := range rapid.IntRange(1, 5).Draw(t, "tenants") {
			tenants = append(tenants, tenant.Tenant{
				ID: fmt.Sprintf("t%d", i), Ports: []string{fmt.Sprintf("p%d", i)},
				Prefixes: rapid.SliceOfN(prefix, 0, 4).Draw(t, "prefixes"),
			})
		}
		s, err := tenant.NewSet(tenants, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		addr := address.Draw(t, "asked")
		contains := func(p netip.Prefix) bool {
			if p.Addr().Is4In6() {
				p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
			}
			return p.Contains(addr.Unmap())
		}
		for i, me := range tenants {
			others := false
			for j, other := range tenants {
				others = others || i != j && slices.ContainsFunc(other.Prefixes, contains)
			}
			if got := s.Foreign(me.ID)(addr); got != others {
				t.Fatalf("%v for %s: foreign %v; others' %v", addr, me.ID, got, others)
			}
		}
		if s.Foreign("t0")(netip.Addr{}) {
			t.Fatal("no address is foreign")
		}
	})
}
