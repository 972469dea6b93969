// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// waitedFor returns for whom the hypervisor looks in vain.
func waitedFor(t *testing.T, n *Network) (who []string) {
	t.Helper()
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := n.nl.NeighList(0, family)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if list[i].State&(netlink.NUD_INCOMPLETE|netlink.NUD_FAILED) != 0 {
				who = append(who, list[i].String())
			}
		}
	}
	return who
}

// Twins that are alike are equal, and most of what is sent gets through.
func TestTwinsAreEqual(t *testing.T) {
	privilegetest.NetNS(t)
	for _, spec := range Specs() {
		t.Run(spec.Name, func(t *testing.T) {
			p, err := NewPair("dwelltest-fasttwin", spec, func(*Network) (Subject, error) { return Alone{}, nil })
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			sent, came := 0, 0
			for seed := range uint64(3) {
				c := NewCase(spec, seed, 1000)
				r, err := p.Run(c)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if r.Difference != "" {
					t.Fatalf("seed %d: %s", seed, r.Difference)
				}
				sent, came = sent+len(c.Steps), came+r.Want.Frames()
			}
			for _, n := range []*Network{p.Reference.Network, p.Subject.Network} {
				for _, who := range waitedFor(t, n) {
					t.Errorf("packets wait for %s: how many are lost, and when the kernel says so, depends on time", who)
				}
			}
			t.Logf("%d sent, %d came out", sent, came)
			if came < sent*6/10 {
				t.Errorf("only %d of %d frames came out", came, sent)
			}
		})
	}
}
