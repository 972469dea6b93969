// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/tenant"
)

func FuzzCheckID(f *testing.F) {
	for _, id := range []string{
		"red", "a.b_c-9", "", ".", "..", ".red", "-red", "_x", "re/d", "../red", `a\b`, "réd", "red\x00", "red ", "ｒed", "red\n",
		strings.Repeat("a", 63), strings.Repeat("a", 64), "%2e%2e", "red%2f",
	} {
		f.Add(id)
	}
	valid := regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z`)
	f.Fuzz(func(t *testing.T, id string) {
		err := tenant.CheckID(id)
		if (err == nil) != valid.MatchString(id) {
			t.Fatalf("%q: %v", id, err)
		}
		if err != nil {
			if len(err.Error()) > 700 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if dir := path.Join("/spool", id); path.Dir(dir) != "/spool" || !filepath.IsLocal(id) || filepath.Base(dir) != id {
			t.Errorf("%q is a path", id)
		}
	})
}

// Each mistake is reported at the field where it is.
func TestProblems(t *testing.T) {
	const uuid = "3f1c9a52-8d3e-4b61-9c0a-2f6f6e0e7a11"
	for _, test := range []struct {
		what   string
		tenant tenant.Tenant
		paths  []string
	}{
		{"all kinds", tenant.Tenant{
			ID: "red", Ports: []string{"tap-*", strings.Repeat("p", 127)}, Bridges: []string{"br-red"},
			NetNS: []string{"red-*", "/proc/1/ns/net", "123"}, Containers: []string{"web[0-9]"}, VMs: []string{"vm 1"},
			NeutronPorts: []string{uuid, strings.ToUpper(uuid)}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		}, nil},
		{"no ID, nothing owned", tenant.Tenant{}, []string{"id", ""}},
		{"only prefixes", tenant.Tenant{ID: "red", Prefixes: []netip.Prefix{netip.MustParsePrefix("::/0")}}, []string{""}},
		{
			"ports",
			tenant.Tenant{ID: "red", Ports: []string{"a", "", "a/b", "[", strings.Repeat("p", 128)}},
			[]string{"ports[1]", "ports[2]", "ports[3]", "ports[4]"},
		},
		{"bridges", tenant.Tenant{ID: "red", Bridges: []string{"../x"}}, []string{"bridges[0]"}},
		{"namespaces", tenant.Tenant{ID: "red", NetNS: []string{"", "host", "[", "/["}}, []string{"netns[0]", "netns[1]", "netns[2]"}},
		{"containers", tenant.Tenant{ID: "red", Containers: []string{"", "[a"}}, []string{"containers[0]", "containers[1]"}},
		{"VMs", tenant.Tenant{ID: "red", VMs: []string{"../../etc/passwd", ""}}, []string{"vms[0]", "vms[1]"}},
		{
			"OpenStack",
			tenant.Tenant{ID: "red", NeutronPorts: []string{"", "tap3f1c9a52-8d", uuid[:35], uuid + "0", strings.ReplaceAll(uuid, "f", "g")}},
			[]string{"neutron_ports[0]", "neutron_ports[1]", "neutron_ports[2]", "neutron_ports[3]", "neutron_ports[4]"},
		},
		{"prefixes", tenant.Tenant{ID: "red", Ports: []string{"a"}, Prefixes: make([]netip.Prefix, 1)}, []string{"prefixes[0]"}},
	} {
		var paths []string
		for _, p := range test.tenant.Problems() {
			paths = append(paths, p.Path)
		}
		if !slices.Equal(paths, test.paths) {
			t.Errorf("%s: problems at %q, want %q: %v", test.what, paths, test.paths, test.tenant.Check())
		}
		if (test.tenant.Check() == nil) != (test.paths == nil) {
			t.Errorf("%s: %v", test.what, test.tenant.Check())
		}
	}
}
