// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

func TestShortcut(t *testing.T) {
	got := map[string]string{}
	for _, top := range lab.Topologies() {
		if s, ok := top.Shortcut(); ok {
			got[top.Name] = fmt.Sprint(s)
		}
	}
	want := map[string]string{
		"bridge":            "{hypervisor brovsns-br ens3 [ovs-br] [192.168.0.0/24 2001:db8:0:1::/64]}",
		"bridge-namespaces": "{hypervisor brovs-host ens3 [] [192.168.0.0/24 2001:db8:0:1::/64]}",
		"nat":               "{hypervisor natovsns-nat ens3 [ovs-nat] [192.168.1.0/24]}",
		"routed":            "{hypervisor rovs-2 ens3 [] [192.168.2.0/24 2001:db8:0:2::/64]}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
