// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"fmt"
	"path"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/tenant"
)

// The index finds what a comparison with every reference finds.
func TestMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune("ab-")), 1, 4, -1)
		ref := rapid.OneOf(name, rapid.StringMatching(`[ab-]{0,2}[*?]?[ab-]{0,2}|[ab]\[ab\]\*|\\[ab]{1,2}`).Filter(func(s string) bool { return s != "" }))
		var tenants []tenant.Tenant
		taken := map[string]bool{}
		for i := range rapid.IntRange(1, 6).Draw(t, "tenants") {
			var ports []string
			for _, p := range rapid.SliceOfN(ref, 1, 4).Draw(t, "ports") {
				if tenant.IsPattern(p) || !taken[p] {
					taken[p] = true
					ports = append(ports, p)
				}
			}
			if len(ports) > 0 {
				tenants = append(tenants, tenant.Tenant{ID: fmt.Sprintf("t%d", i), Ports: ports})
			}
		}
		s, err := tenant.NewSet(tenants, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		asked := name.Draw(t, "asked")
		var want, got []string
		for _, owner := range tenants {
			for _, p := range owner.Ports {
				if ok, _ := path.Match(p, asked); ok {
					want = append(want, owner.ID+" "+p)
				}
			}
		}
		s.MatchPort(asked, func(r *tenant.Ref) { got = append(got, r.Tenant+" "+r.Name) })
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%s is matched by %q, want %q", asked, got, want)
		}
	})
}

// Each kind of reference matches only what it is about.
func TestMatchKinds(t *testing.T) {
	s, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Ports: []string{"x"}, NetNS: []string{"n", "12", "/a/b"}, NeutronPorts: []string{uuid1}},
		{ID: "blue", Bridges: []string{"b"}, Containers: []string{"x"}, VMs: []string{"x*"}},
	}, []string{"s*", "/c"}, []string{"up*"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(match func(string, func(*tenant.Ref)), name string) (found string) {
		match(name, func(r *tenant.Ref) { found += r.Tenant + " " + r.String() + ";" })
		return found
	}
	for _, test := range []struct {
		match      func(string, func(*tenant.Ref))
		name, want string
	}{
		{s.MatchPort, "x", "red ports: x;"},
		{s.MatchPort, "b", ""},
		{s.MatchPort, "qvo3f1c9a52-8d", "red neutron_ports: " + uuid1 + ";"},
		{s.MatchPort, "tap3f1c9a52-8", ""},
		{s.MatchBridge, "b", "blue bridges: b;"},
		{s.MatchBridge, "x", ""},
		{s.MatchNetNS, "n", "red netns: n;"},
		{s.MatchContainer, "x", "blue containers: x;"},
		{s.MatchVM, "xy", "blue vms: x*;"},
		{s.MatchShared, "s1", " shared: s*;"},
		{s.MatchNetNS, "s1", ""},
		{s.MatchUplink, "up0", " uplinks: up*;"},
		{s.MatchPort, "up0", ""},
	} {
		if got := ask(test.match, test.name); got != test.want {
			t.Errorf("%s is matched by %q, want %q", test.name, got, test.want)
		}
	}
	if special := s.Special(); len(special) != 3 || special[0].Name != "12" || special[1].Name != "/a/b" || special[2].Name != "/c" {
		t.Errorf("special references %v", special)
	}
	if len(s.Refs()) != 11 || !s.HasBridges() || !s.HasVMs() {
		t.Errorf("references %v", s.Refs())
	}
}
