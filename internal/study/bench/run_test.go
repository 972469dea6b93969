// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/bench/benchtest"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

func TestModesAreAllTopologies(t *testing.T) {
	modes := bench.Modes()
	if modes[0] != "bridge-namespaces" || len(modes) != len(lab.Paper()) {
		t.Errorf("modes %v", modes)
	}
	for _, top := range lab.Paper() {
		if !slices.Contains(modes, top.Name) {
			t.Errorf("no %s", top.Name)
		}
	}
}

func TestCheck(t *testing.T) {
	ok := bench.Protocol{Batches: 1, Count: 1, Interval: time.Second}
	change := func(f func(*bench.Protocol)) bench.Config {
		p := ok
		f(&p)
		return bench.Config{Protocol: p}
	}
	for want, test := range map[string]struct {
		cfg   bench.Config
		modes []string
		rules []int
	}{
		"--batches 0":        {change(func(p *bench.Protocol) { p.Batches = 0 }), nil, nil},
		"--count 65536":      {change(func(p *bench.Protocol) { p.Count = 65536 }), nil, nil},
		"--interval 0s":      {change(func(p *bench.Protocol) { p.Interval = 0 }), nil, nil},
		"--warmup -1":        {change(func(p *bench.Protocol) { p.Warmup = -1 }), nil, nil},
		"unknown topology":   {bench.Config{Protocol: ok}, []string{"ring"}, nil},
		"no hypervisor":      {bench.Config{Protocol: ok}, []string{"vxlan"}, []int{1}},
		"--rules -1":         {bench.Config{Protocol: ok}, []string{"bridge"}, []int{0, -1}},
		"batches are too ma": {change(func(p *bench.Protocol) { p.Batches = 15_000 }), []string{"bridge"}, []int{0, 1}},
	} {
		err := test.cfg.Check(test.modes...)
		if err == nil && test.rules != nil {
			err = test.cfg.CheckRules(test.modes[0], test.rules)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	if err := (bench.Config{Protocol: ok}).Check(bench.Modes()...); err != nil {
		t.Error(err)
	}
}

// What is written can be read back.
func TestResultIsJSON(t *testing.T) {
	c := bench.NewCollector(2, benchtest.Roles())
	c.Add(1, benchtest.Trace(1, 1, benchtest.Way(10), benchtest.Back(10)))
	machine, err := bench.ThisMachine()
	if err != nil || machine.Kernel == "" || machine.Cores < 1 {
		t.Fatalf("%+v, %v", machine, err)
	}
	want := bench.Result{Version: bench.Version, Machine: machine, Started: time.Unix(1, 0).UTC(), Modes: []bench.Mode{c.Mode()}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got bench.Result
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	// Empty maps are not written.
	want.Modes[0].Counts.Dropped, want.Modes[0].Counts.Incomplete, want.Modes[0].Counts.Other = nil, nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
