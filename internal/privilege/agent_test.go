// SPDX-License-Identifier: Apache-2.0

package privilege_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// What an agent lacks is what it was not given and what CAP_SYS_ADMIN does not stand for.
func TestMissingForAgent(t *testing.T) {
	var all privilege.Set
	for _, u := range privilege.Agent() {
		all |= 1 << u.Capability
	}
	names := func(uses []privilege.Use) (names []string) {
		for _, u := range uses {
			names = append(names, u.String())
		}
		return names
	}
	for _, test := range []struct {
		name string
		have privilege.Set
		want []string
	}{
		{"nothing", 0, []string{"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}},
		{"what it is deployed with", all, nil},
		{"CAP_SYS_ADMIN", 1 << privilege.SysAdmin, []string{"CAP_SYS_PTRACE"}},
		{"all but CAP_SYS_ADMIN", all &^ (1 << privilege.SysAdmin), []string{"CAP_SYS_ADMIN"}},
		{"all but CAP_SYS_PTRACE", all &^ (1 << privilege.SysPtrace), []string{"CAP_SYS_PTRACE"}},
		{"to trace", 1<<privilege.BPF | 1<<privilege.Perfmon, []string{"CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}},
	} {
		if diff := cmp.Diff(test.want, names(test.have.MissingForAgent())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
