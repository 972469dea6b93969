// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Where a clock is too coarse to tell the events apart, they are put in the order in
// which the packet passed the hooks, whoever reported first and whatever numbers the
// hooks have: netfilter's are the highest, and come before the device's queue.
func TestEventsOfOneTimeAreInThePacketsOrder(t *testing.T) {
	s := newSim()
	p := s.request(1)
	p.output(brovsnsNS)
	sent := len(s.events) + 1 // and the device's queue
	p.cross(brovsnsNS, brovsnsBR)
	arrived := len(s.events) - 1
	p.chains(brovsnsBR, event.NetfilterPreRouting, event.NetfilterLocalIn)
	p.event(brovsnsBR, event.KfreeSKB, 2)

	coarse := slices.Clone(s.events)
	for i := range coarse[:sent] {
		coarse[i].Time = coarse[0].Time
	}
	for i := range coarse[arrived:] {
		coarse[arrived+i].Time = coarse[arrived].Time
	}
	slices.Reverse(coarse)
	if diff := cmp.Diff(kinds(s.events), kinds(coarse)); diff != "" {
		t.Errorf("kinds of spans (-with a fine clock +with a coarse one):\n%s", diff)
	}
}

func kinds(events []event.Event) (kinds []trace.Kind) {
	traces, _ := run(events, correlate.Options{})
	for _, tr := range traces {
		for i := range tr.Spans {
			kinds = append(kinds, tr.Spans[i].Kind)
		}
	}
	return kinds
}
