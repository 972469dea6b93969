// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
	"github.com/dwelltrace/dwell/exporter/table"
)

// ping is a complete one with a single leaf below its root.
func ping(name, service string, ns int64) *trace.Trace {
	tr := &trace.Trace{Outcome: trace.Complete}
	netns := &trace.NetNS{Name: service}
	root := tr.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, End: ns, NetNS: netns})
	tr.Add(root, trace.Span{Kind: trace.KindTransmit, End: ns, NetNS: netns, Leaf: true, Device: &trace.Device{NetNS: netns, Name: name}})
	return tr
}

// tableRow is a line of the text below the heads.
type tableRow struct {
	count          int
	mean, p50, p99 float64 // ns
}

var rowFormat = regexp.MustCompile(`  ([0-9]+) +([0-9.]+ (?:ns|µs|ms|s)) +([0-9.]+ (?:ns|µs|ms|s)) +([0-9.]+ (?:ns|µs|ms|s))$`)

// read returns the rows whose text begins so, the direction before it left out.
func read(t rapid.TB, tb *table.Table, span string) []tableRow {
	t.Helper()
	var rows []tableRow
	for line := range strings.Lines(write(t, tb, table.Options{})) {
		m := rowFormat.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || !strings.HasPrefix(strings.TrimLeft(line, " "), span) {
			continue
		}
		var r tableRow
		for i, f := range []*float64{&r.mean, &r.p50, &r.p99} {
			*f = nanoseconds(t, m[i+2])
		}
		var err error
		if r.count, err = strconv.Atoi(m[1]); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

func nanoseconds(t rapid.TB, s string) float64 {
	t.Helper()
	number, unit, _ := strings.Cut(s, " ")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v * map[string]float64{"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
}

// rank is the smallest of the durations such that a share of q of them is not longer.
func rank(sorted []int64, q float64) float64 {
	for i, ns := range sorted {
		if float64(i+1) >= q*float64(len(sorted)) {
			return float64(ns)
		}
	}
	return 0
}

// Count, mean, median and percentile are those of the durations, in whatever order the
// pings come, one or many, from nothing to hours.
func TestFiguresAreThoseOfThePings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 3000), rapid.Int64Range(0, 7_200_000_000_000)), 1, 300).Draw(t, "durations")
		tb := table.New(len(durations))
		sum := 0.0
		for _, ns := range durations {
			fill(t, tb, ping("eth0", "a", ns))
			sum += float64(ns)
		}
		slices.Sort(durations)
		mean := sum / float64(len(durations))
		for _, span := range []string{"ping", "transmit eth0"} {
			rows := read(t, tb, span)
			if len(rows) != 1 {
				t.Fatalf("%d rows of %s:\n%s", len(rows), span, write(t, tb, table.Options{}))
			}
			got := rows[0]
			if got.count != len(durations) || math.Abs(got.mean-mean) > 0.51+mean*1e-12 ||
				math.Abs(got.p50-rank(durations, 0.5)) > 0.01 || math.Abs(got.p99-rank(durations, 0.99)) > 0.01 {
				t.Errorf("%s: %+v, want %d, %v, %v, %v", span, got, len(durations), mean, rank(durations, 0.5), rank(durations, 0.99))
			}
		}
		if strings.Contains(write(t, tb, table.Options{}), "sample") {
			t.Error("all were kept, and the table says that they were not")
		}
	})
}

// Beyond the limit count and mean stay exact, percentiles are of durations that there
// were, from all of them and not only the first, and the table says so.
func TestSample(t *testing.T) {
	const limit, pings = 100, 20_000
	tb := table.New(limit)
	for i := range pings {
		fill(t, tb, ping("eth0", "a", int64(i)))
	}
	got := read(t, tb, "ping")[0]
	if got.count != pings || math.Abs(got.mean-(pings-1)/2.0) > 0.51 {
		t.Errorf("%+v", got)
	}
	// The median of 100 of 20,000: its standard deviation is 5 % of the range.
	if got.p50 < 0.3*pings || got.p50 > 0.7*pings || got.p99 < 0.9*pings || got.p99 >= pings {
		t.Errorf("%+v is not a sample of all pings", got)
	}
	note := fmt.Sprintf("random sample of %d", limit)
	if text := write(t, tb, table.Options{}); strings.Count(text, note) != 1 {
		t.Errorf("%q is not said once:\n%s", note, text)
	}
	again := table.New(limit)
	for i := range pings {
		fill(t, again, ping("eth0", "a", int64(i)))
	}
	if a, b := write(t, tb, table.Options{}), write(t, again, table.Options{}); a != b {
		t.Errorf("the same pings gave\n%s\nand\n%s", a, b)
	}
}

// The last ping that is kept, and the first that is not.
func TestLimit(t *testing.T) {
	for samples, last := range map[int]int{1: 1, 7: 7, 0: table.DefaultSamples, -1: table.DefaultSamples} {
		tb := table.New(samples)
		traces := make([]*trace.Trace, last)
		for i := range traces {
			traces[i] = ping("eth0", "a", 5)
		}
		fill(t, tb, traces...)
		if strings.Contains(write(t, tb, table.Options{}), "sample") {
			t.Errorf("limit %d: %d pings are a sample", samples, last)
		}
		fill(t, tb, traces[0])
		if want := fmt.Sprintf("sample of %d ", last); !strings.Contains(write(t, tb, table.Options{}), want) {
			t.Errorf("limit %d: %d pings are not a sample", samples, last+1)
		}
	}
}

// Every column is aligned, whatever names there are: words on the left, figures on the
// right, no blanks at the end, no escapes, and in ASCII nothing but that.
func TestColumns(t *testing.T) {
	names := []string{"eth0", "", "客户机", "e\u0301", "\x1b[31m", "a\nb", "a name that is longer than the others", "💥"}
	rapid.Check(t, func(t *rapid.T) {
		tb := table.New(0)
		for range rapid.IntRange(1, 9).Draw(t, "pings") {
			fill(t, tb, ping(rapid.SampledFrom(names).Draw(t, "device"), rapid.SampledFrom(names).Draw(t, "netns"), rapid.Int64Range(0, 5_000_000_000).Draw(t, "ns")))
		}
		for _, o := range []table.Options{{}, {ASCII: true}} {
			lines := strings.Split(strings.TrimSuffix(write(t, tb, o), "\n"), "\n")
			for _, l := range lines {
				if text.Width(l) != text.Width(lines[0]) || strings.TrimRight(l, " ") != l || regexp.MustCompile(`[\x00-\x1f]`).MatchString(l) {
					t.Errorf("%q below\n%q", l, lines[0])
				}
				if o.ASCII && regexp.MustCompile(`[^ -~]`).MatchString(l) {
					t.Errorf("%q in ASCII", l)
				}
			}
			if n := len(regexp.MustCompile(`(?m)(ns|[µu]s|ms|s)$`).FindAllString(strings.Join(lines[1:], "\n"), -1)); n != len(lines)-1 {
				t.Errorf("%d figures at the end of %d lines", n, len(lines)-1)
			}
		}
	})
}
