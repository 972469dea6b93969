// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// Thousands of pings as fast as they go, through every topology at the same time: each
// is complete, and tiled to the nanosecond, in the OTLP output; no event is lost.
func TestFloodOfEveryTopology(t *testing.T) {
	const atLeast = 4000
	var labs []*lab.Lab
	count := atLeast/len(lab.Paper()) + 1
	want := map[string]int{}
	for _, topology := range lab.Paper() {
		labs = append(labs, up(t, topology.Name))
		want[topology.Name] = count
	}
	roots, sum := exported(t, labs, agent.Options{}, func() {
		var floods sync.WaitGroup
		for _, l := range labs {
			floods.Go(func() { ping(t, l, pinger.Config{Count: count, Flood: true}) })
		}
		floods.Wait()
	})
	total := uint64(count * len(labs))
	if sum.Complete != total || sum.Pings() != total || sum.Lost() != 0 || sum.Correlator.Late != 0 {
		t.Fatal(sum)
	}
	got := map[string]int{}
	for _, r := range roots {
		checkComplete(t, r)
		got[owner(t, r)]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
