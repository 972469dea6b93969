// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/bench/benchtest"
)

// outline tells the rows of a mode, without figures.
func outline(directions []bench.Direction) string {
	var b strings.Builder
	for _, d := range directions {
		fmt.Fprintf(&b, "%s\n", d.Name)
		for _, r := range d.Rows {
			fmt.Fprintf(&b, "%s%s @%s\n", strings.Repeat("  ", r.Depth+1), r.Name, r.Role)
		}
	}
	return b.String()
}

func TestRowsStandAlongThePath(t *testing.T) {
	want := `request
  transmit guest0 @guest
  link guest0 -> port0 @guest
  device br @hypervisor
    bridge br @hypervisor
    queue port1 @hypervisor
  hypervisor @hypervisor
    forward @hypervisor
    queue ens3 @hypervisor
  link ens3 -> outside0 @hypervisor
  deliver @outside
reply
  transmit outside0 @outside
  link outside0 -> ens3 @outside
  hypervisor @hypervisor
    forward @hypervisor
    queue port1 @hypervisor
  deliver @guest
`
	whole := benchtest.Trace(1, 1, benchtest.Way(10), benchtest.Back(10))
	short := benchtest.Trace(1, 2, benchtest.Way(10)[3:], benchtest.Back(10)[2:])
	for _, order := range [][]*trace.Trace{{whole, short}, {short, whole}} {
		c := bench.NewCollector(1, benchtest.Roles())
		for _, tr := range order {
			c.Add(0, tr)
		}
		if diff := cmp.Diff(want, outline(c.Directions())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// The namespace's name, with this lab's prefix, stands nowhere.
func TestNamesAreTheRoles(t *testing.T) {
	router := []benchtest.Node{{Kind: trace.KindDevice, Device: "a", Peer: "b", NetNS: 2, NS: 5}}
	c := bench.NewCollector(1, benchtest.Roles())
	c.Add(0, benchtest.Trace(1, 1, router, nil))
	m := c.Mode()
	text := fmt.Sprintf("%+v %+v", m.Directions, *m.Slowest)
	if strings.Contains(text, "test-mode") || !strings.Contains(text, "hypervisor") {
		t.Error(text)
	}
}

func TestSameSpanTwice(t *testing.T) {
	link := benchtest.Node{Kind: trace.KindLink, Device: "a", Peer: "b", NetNS: 1, NS: 3}
	c := bench.NewCollector(1, benchtest.Roles())
	c.Add(0, benchtest.Trace(1, 1, []benchtest.Node{link, link}, nil))
	rows := c.Directions()[0].Rows
	if len(rows) != 2 || rows[0].Count != 1 || rows[1].Count != 1 || rows[0].Path == rows[1].Path {
		t.Errorf("rows %+v", rows)
	}
}

func TestOnlyCompletePingsCount(t *testing.T) {
	c := bench.NewCollector(1, benchtest.Roles())
	c.Add(0, benchtest.Trace(1, 1, benchtest.Way(10), benchtest.Back(10)))
	dropped := benchtest.Trace(1, 2, benchtest.Way(1000), nil)
	dropped.Outcome, dropped.DropReason = trace.Dropped, "NETFILTER_DROP"
	late := benchtest.Trace(1, 3, benchtest.Way(1000), nil)
	late.Outcome, late.Cause = trace.Incomplete, trace.CauseNoReply
	unreachable := benchtest.Trace(1, 4, benchtest.Way(1000), nil)
	unreachable.Outcome = trace.Unreachable
	c.Add(0, unreachable)
	c.Add(0, dropped)
	c.Add(0, late)
	c.AddRTT(0, 3*time.Microsecond)
	m := c.Mode()
	if m.Ping.Count != 1 || m.RTT.P50 != 3000 || m.Slowest.NS != m.Ping.Max || m.Typical.NS != m.Ping.P50 {
		t.Errorf("ping %+v, rtt %+v", m.Ping.Figures, m.RTT.Figures)
	}
	m.Counts.Sent, m.Counts.Received, m.Counts.EventsLost = 5, 3, 7
	m.Name = "bridge"
	r := bench.Result{Modes: []bench.Mode{m}}
	want := []string{
		"bridge: 2 of 5 pings were not answered",
		"bridge: 1 of 5 pings left no trace",
		"bridge: 1 of 5 pings dropped: NETFILTER_DROP",
		"bridge: 1 of 5 pings incomplete: no_reply",
		"bridge: 1 of 5 pings unreachable",
		"bridge: 7 events lost in the kernel",
	}
	if diff := cmp.Diff(want, r.Troubles()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// nodes draws the parts of a journey, some with parts of their own.
func nodes(t *rapid.T, label string) []benchtest.Node {
	leaf := func(label string) benchtest.Node {
		return benchtest.Node{
			Kind:   rapid.SampledFrom([]trace.Kind{trace.KindLink, trace.KindForward, trace.KindDeliver}).Draw(t, label+" kind"),
			Device: rapid.SampledFrom([]string{"a", "b"}).Draw(t, label+" device"),
			NetNS:  rapid.Uint32Range(1, 3).Draw(t, label+" netns"),
			NS:     rapid.Int64Range(0, 1e6).Draw(t, label+" ns"),
		}
	}
	var out []benchtest.Node
	for i := range rapid.IntRange(1, 6).Draw(t, label+" parts") {
		n := leaf(fmt.Sprint(label, i))
		for j := range rapid.IntRange(0, 3).Draw(t, fmt.Sprint(label, i, " inner")) {
			n.Children = append(n.Children, leaf(fmt.Sprint(label, i, ".", j)))
		}
		out = append(out, n)
	}
	return out
}

// Whatever way pings take, the parts of a direction sum to the whole, in each batch
// and over all, and so do the parts of a part.
func TestPartsSumToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches := rapid.IntRange(1, 4).Draw(t, "batches")
		c := bench.NewCollector(batches, benchtest.Roles())
		ns := make([]int64, batches)
		pings := rapid.IntRange(1, 8).Draw(t, "pings")
		for i := range pings {
			tr := benchtest.Trace(1, uint16(i), nodes(t, fmt.Sprint("request ", i, " ")), nodes(t, fmt.Sprint("reply ", i, " ")))
			batch := rapid.IntRange(0, batches-1).Draw(t, "batch")
			ns[batch] += tr.Root().Duration()
			c.Add(batch, tr)
		}
		m := c.Mode()
		got := make([]float64, batches)
		for _, d := range m.Directions {
			checkTotal(t, d.Whole, d.Parts())
			for _, row := range d.Parts() {
				for i, b := range row.Batches {
					got[i] += b.Mean * float64(b.Count)
				}
			}
		}
		for i := range ns {
			if math.Abs(got[i]-float64(ns[i])) > 1e-3 {
				t.Fatalf("batch %d: parts sum to %v, pings to %d", i, got[i], ns[i])
			}
		}
		if m.Ping.Count != pings {
			t.Fatalf("%d pings, want %d", m.Ping.Count, pings)
		}
	})
}

func checkTotal(t *rapid.T, whole bench.Row, parts []bench.Row) {
	total := func(r bench.Row) float64 { return r.Mean * float64(r.Count) }
	sum := 0.0
	for _, p := range parts {
		sum += total(p)
	}
	if math.Abs(sum-total(whole)) > 1e-3 {
		t.Fatalf("parts sum to %v, the whole is %v", sum, total(whole))
	}
}

func TestGrowthWithRules(t *testing.T) {
	rules := []int{0, 1000, 10000}
	var collectors []*bench.Collector
	for _, n := range rules {
		c := bench.NewCollector(1, benchtest.Roles())
		way := benchtest.Way(100)
		way[3].Children[0].NS += int64(n) * 3 // 3 ns a rule in forward
		for seq := range uint16(5) {
			c.Add(0, benchtest.Trace(1, seq, way, benchtest.Back(100)))
		}
		collectors = append(collectors, c)
	}
	s := bench.CompareRules(rules, collectors)
	grown := map[string]float64{}
	for _, row := range s.Rows {
		if math.Abs(row.PerThousand) > 1e-6 {
			grown[row.Path] = math.Round(row.PerThousand)
		}
	}
	want := map[string]float64{"request": 3000, "request/hypervisor": 3000, "request/hypervisor/forward": 3000}
	if diff := cmp.Diff(want, grown); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.Counts.Complete != 15 || math.Round(s.Ping.PerThousand) != 3000 {
		t.Errorf("%d complete, ping grows by %v", s.Counts.Complete, s.Ping.PerThousand)
	}
}
