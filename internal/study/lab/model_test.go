// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// The descriptions hold together: what they name exists, fits the kernel's limits
// and is there once.
func TestDescriptions(t *testing.T) {
	names := map[string]bool{}
	for _, top := range lab.Topologies() {
		t.Run(top.Name, func(t *testing.T) {
			if names[top.Name] || top.Name == "" || top.Summary == "" {
				t.Errorf("name %q, summary %q: missing or there twice", top.Name, top.Summary)
			}
			names[top.Name] = true
			guests := top.Guests()
			if roles := top.Roles(); !slices.Equal(roles[:len(guests)], guests) {
				t.Errorf("the first of the namespaces %q are not the guests %q", roles, guests)
			}
			if len(top.Tenants()) == 0 && guests[0] != lab.Guest {
				t.Errorf("the guest is called %q", guests[0])
			}
			checkDevices(t, top)
			checkRoutes(t, top)
		})
	}
}

func checkDevices(t *testing.T, top lab.Topology) {
	t.Helper()
	devices := map[string]bool{}
	for _, b := range top.Bridges {
		devices[b.In+"/"+b.Name+"/bridge"] = true
	}
	held := map[netip.Addr]bool{}
	own := map[string]bool{} // an address and whose it is
	for _, p := range lab.Ports(top) {
		if _, ok := top.Space(p.In); !ok {
			t.Errorf("%s is in %q, which is not there", p.Name, p.In)
		}
		if len(p.Name) == 0 || len(p.Name) > 15 {
			t.Errorf("device name %q is not 1 to 15 bytes long", p.Name)
		}
		if devices[p.In+"/"+p.Name] {
			t.Errorf("%s has two %s", p.In, p.Name)
		}
		devices[p.In+"/"+p.Name] = true
		if p.Bridge != "" && !devices[p.In+"/"+p.Bridge+"/bridge"] {
			t.Errorf("%s is a port of %q, which is not there", p.Name, p.Bridge)
		}
		for _, a := range p.Addrs {
			whose := a.Addr().String() + " of " + tenant(top, p)
			if own[whose] {
				t.Errorf("%s is there twice", whose)
			}
			own[whose], held[a.Addr()] = true, true
		}
	}
	for _, s := range top.Spaces {
		for _, a := range s.Loopback {
			held[a.Addr()] = true
		}
		for _, d := range s.Masquerade {
			if !devices[s.Role+"/"+d] {
				t.Errorf("%s masquerades on %s, which is not there", s.Role, d)
			}
		}
	}
	if !held[top.Target4] || (top.Target6.IsValid() && !held[top.Target6]) {
		t.Errorf("nobody has the targets %s, %s", top.Target4, top.Target6)
	}
}

// tenant returns the tenant whose the device is, or "".
func tenant(top lab.Topology, p lab.Port) string {
	for _, t := range top.Tenants() {
		if p.In == t.Role || p.Name == t.Bridge {
			return t.Role
		}
	}
	return ""
}

// Every gateway is on a network of the namespace that uses it.
func checkRoutes(t *testing.T, top lab.Topology) {
	t.Helper()
	for _, s := range top.Spaces {
		if s.Role == "" || strings.Contains(s.Role, "-") {
			t.Errorf("role %q must not be empty or have a dash", s.Role)
		}
		var on []netip.Prefix
		for _, p := range lab.Ports(top) {
			if p.In == s.Role {
				on = append(on, p.Addrs...)
			}
		}
		for _, r := range s.Routes {
			reaches := func(p netip.Prefix) bool { return p.Contains(r.Via) }
			if !slices.ContainsFunc(on, reaches) || r.To.Addr().Is4() != r.Via.Is4() {
				t.Errorf("%s: no way to the gateway %s of %s", s.Role, r.Via, r.To)
			}
		}
	}
}

func TestFindErrors(t *testing.T) {
	_, err := lab.Find("brigde")
	if err == nil || !strings.Contains(err.Error(), `unknown topology "brigde"; choose one of: bridge`) {
		t.Errorf("Find: %v", err)
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, good := range []string{lab.DefaultPrefix, "x", strings.Repeat("x", 64)} {
		if err := lab.CheckPrefix(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "a/b", "a b", "a\n", "a\x00", strings.Repeat("x", 65)} {
		if lab.CheckPrefix(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
