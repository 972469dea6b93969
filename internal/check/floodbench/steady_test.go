// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPaces(t *testing.T) {
	cfg, err := parseFlags([]string{"--steady", "0,500,2000", "--duration", "1s"}, &bytes.Buffer{})
	if want := (paces{0, 500, 2000}); err != nil || !slices.Equal(cfg.steady, want) || cfg.steady.String() != "0,500,2000" {
		t.Errorf("%v, %v, want %v", cfg.steady, err, want)
	}
	if !strings.Contains(cfg.configuration("p", "e"), "max_rate: 0\n") {
		t.Error("something limits what is steady")
	}
	for _, args := range [][]string{{"--steady", "fast"}, {"--steady", "-1"}, {"--steady", "0", "--duration", "999ms"}} {
		if _, err := parseFlags(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// A pace is shared by as many pings as it takes.
func TestIntervals(t *testing.T) {
	for pace, want := range map[int][]string{
		0: {}, 100: {"0.010"}, 500: {"0.002"}, 1000: {"0.002", "0.002"}, 750: {"0.003", "0.003"},
	} {
		if got := intervals(pace); !slices.Equal(got, want) {
			t.Errorf("%d a second: %v, want %v", pace, got, want)
		}
	}
}

// What is needed a second and what an event needs are told apart, if there are two paces.
func TestSplit(t *testing.T) {
	var costs []cost
	for _, events := range []float64{0, 10_000, 40_000} {
		costs = append(costs, cost{events: events, user: 0.003 + events*1e-6, system: 0.002 + events*0.5e-6})
	}
	fixed, each, ok := split(costs)
	if !ok || math.Abs(fixed-0.005) > 1e-9 || math.Abs(each-1.5e-6) > 1e-12 {
		t.Errorf("%v s, %v s an event, %v", fixed, each, ok)
	}
	if _, _, ok := split(costs[:1]); ok {
		t.Error("split by one pace")
	}
}

func TestPrintCost(t *testing.T) {
	var out bytes.Buffer
	cost{pace: 500, events: 20_000, user: 0.02, system: 0.01}.print(&out)
	cost{scraped: true, user: 0.002}.print(&out)
	want := []string{"500", "no", "20000", "0.0300", "1.50", "1.00", "0.50", "0", "yes", "0", "0.0020", "-", "-", "-"}
	if got := strings.Fields(out.String()); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The CPU time that this process uses is counted.
func TestUsage(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for after.user+after.system == before.user+before.system {
		if after, err = usageOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	used := after.user + after.system - before.user - before.system
	if used < 0 || used > time.Minute || after.at.Before(before.at) {
		t.Errorf("%+v, then %+v", before, after)
	}
	if _, err := usageOf(math.MaxInt32); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}

func TestTicks(t *testing.T) {
	user, system, err := ticks("7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 31 41 0 0 20 0")
	if user != 31 || system != 41 || err != nil {
		t.Errorf("%d, %d, %v", user, system, err)
	}
	for _, bad := range []string{"", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 4194560 100 0 0 0 x 41"} {
		if _, _, err := ticks(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
