// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/bench/benchtest"
)

// short is a way that passes over the bridge.
func short(ns int64) []benchtest.Node {
	return []benchtest.Node{
		{Kind: trace.KindTransmit, Device: "guest0", NetNS: 1, NS: 2 * ns},
		{Kind: trace.KindHypervisor, Device: "port0", NetNS: 2, Children: []benchtest.Node{
			{Kind: trace.KindFastPath, Device: "port0", Peer: "ens3", NetNS: 2, NS: 3 * ns},
		}},
		{Kind: trace.KindLink, Device: "ens3", Peer: "outside0", NetNS: 2, NS: ns},
		{Kind: trace.KindDeliver, Device: "outside0", NetNS: 3, NS: 7 * ns},
	}
}

func fastStudy() bench.FastStudy {
	mode := func(way []benchtest.Node) bench.Mode {
		c := bench.NewCollector(1, benchtest.Roles())
		c.Add(0, benchtest.Trace(1, 1, way, benchtest.Back(1000)))
		c.AddRTT(0, 100_000)
		return c.Mode()
	}
	return bench.FastStudy{Mode: "bridge", Interval: 10 * time.Millisecond, Rules: 100, Host: "hypervisor", Slow: mode(benchtest.Way(1000)), Fast: mode(short(1000)), Fallen: 3}
}

func TestFastTables(t *testing.T) {
	r := &bench.Result{Fast: []bench.FastStudy{fastStudy()}}
	tables := fastTables(r)
	var titles []string
	for _, table := range tables {
		titles = append(titles, table.Title)
	}
	if diff := cmp.Diff([]string{
		"The kernel's way and the fast path", "bridge with 100 rules: what the fast path saves",
		"bridge with 100 rules, the kernel's way: request", "bridge with 100 rules, the kernel's way: reply",
		"bridge with 100 rules, the fast path: request", "bridge with 100 rules, the fast path: reply",
	}, titles); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"bridge", "every 10ms", "100", "100.000", "100.000", "1.00", "51.000", "33.000", "0.65", "24.000", "9.000", "0.38", "23.000", "8.000", "0.35", "3",
	}, tables[0].Rows[0].Cells); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want := [][]string{
		{"request", "transmit guest0", "guest", "2.000", "2.000", "0.000"},
		{"request", "link guest0 -> port0", "guest", "3.000", "", "3.000"},
		{"request", "device br", "hypervisor", "6.000", "", "6.000"},
		{"request", "hypervisor", "hypervisor", "12.000", "3.000", "9.000"},
		{"request", "link ens3 -> outside0", "hypervisor", "1.000", "1.000", "0.000"},
		{"request", "deliver", "outside", "7.000", "7.000", "0.000"},
	}
	var got [][]string
	for i, row := range tables[1].Rows[:len(want)] {
		got = append(got, row.Cells)
		if row.Strong != (want[i][4] == "") {
			t.Errorf("%v: strong %t", row.Cells, row.Strong)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	last := tables[1].Rows[len(tables[1].Rows)-1]
	if diff := cmp.Diff([]string{"", "ping", "", "51.000", "33.000", "18.000"}, last.Cells); diff != "" || !last.Sum {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A device that the kernel's way does not have stands where it begins.
func TestFastTableOfOtherDevices(t *testing.T) {
	f := fastStudy()
	f.Slow, f.Fast = f.Fast, f.Slow
	var got []string
	for _, d := range devices(&f) {
		row := d.slow
		if row == nil {
			row = d.fast
		}
		got = append(got, row.Name)
	}
	if len(got) != 10 || got[1] != "link guest0 -> port0" || got[2] != "device br" || got[3] != "hypervisor" {
		t.Errorf("%q", got)
	}
}

// A study of pings that follow each other at once is told from the one at an interval.
func TestFastTableOfFlood(t *testing.T) {
	f := fastStudy()
	f.Interval = 0
	tables := fastTables(&bench.Result{Fast: []bench.FastStudy{f}})
	if got := tables[0].Rows[0].Cells[1]; got != "one after the other" {
		t.Errorf("pings %q", got)
	}
	if got := tables[1].Title; got != "bridge with 100 rules, one after the other: what the fast path saves" {
		t.Errorf("title %q", got)
	}
}

func TestFastChart(t *testing.T) {
	r := &bench.Result{Fast: []bench.FastStudy{fastStudy()}}
	var page bytes.Buffer
	if err := HTML(&page, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"What the fast path saves", "request, kernel<", "request, fast path<", "reply, fast path<",
		"bridge with 100 rules, request, kernel: device br 6.0 µs", "bridge with 100 rules, request, fast path: hypervisor 3.0 µs",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, rect := range fastChart(r).rects {
		if rect.x < 0 || rect.x+rect.w > chartWidth {
			t.Errorf("%q stands out", rect.title)
		}
	}
}
