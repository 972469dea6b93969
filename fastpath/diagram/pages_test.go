// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

// A packet's nodes are in fewer pages than there are nodes: about every other step stays in its page.
func TestNodesOfAWayAreInFewPages(t *testing.T) {
	rules := synth.Make(synth.Zones, 10_000, 1)
	d, err := diagram.Compile(rules.Set(), diagram.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096 / diagram.NodeBytes
	nodes, pages := 0, 0
	for _, p := range synth.Packets(rules, 1000, 1) {
		last := diagram.LeafBit
		for next := d.Root; next&diagram.LeafBit == 0; nodes++ {
			if next/page != last {
				last, pages = next/page, pages+1
			}
			n, slot := &d.Nodes[next], 0
			for slot < int(n[0]>>8&0xff) && n[1+slot] <= p.Words[n[0]&0xff] {
				slot++
			}
			next = n[1+diagram.Cuts+slot]
		}
	}
	t.Logf("%d nodes of 1000 packets in %d pages", nodes, pages)
	if 2*pages > nodes {
		t.Errorf("%d nodes of 1000 packets are in %d pages", nodes, pages)
	}
}
