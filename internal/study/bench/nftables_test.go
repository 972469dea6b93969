// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/nftables"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// Without iptables, as many rules as the experiment has are made all the same, in place
// of those before.
func TestRulesWithoutIPTables(t *testing.T) {
	privilegetest.NetNS(t)
	name := fmt.Sprintf("dwb%d-nftables", os.Getpid())
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	conn, err := nftables.New(nftables.WithNetNSFd(ns.FD()))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{10_000, 3, 0} {
		if err := bench.SetNFTables(ns, n, false); err != nil {
			t.Fatalf("%d rules: %v", n, err)
		}
		table := &nftables.Table{Name: "dwell-bench", Family: nftables.TableFamilyIPv4}
		rules, err := conn.GetRules(table, &nftables.Chain{Name: "forward", Table: table})
		if err != nil {
			t.Fatal(err)
		}
		if len(rules) != n {
			t.Errorf("%d rules were asked for, and %d are there", n, len(rules))
		}
	}
}
