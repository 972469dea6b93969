// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// fallLine is a line of a waterfall as the page shows it.
type fallLine struct {
	Name, Role, Dwell string
	Class             string
	Left, Width       float64 // % of the ping
	Indent            float64 // em
}

// readFalls reads the waterfalls of a page, and what stands above each.
func readFalls(t rapid.TB, page string) (heads []string, falls [][]fallLine) {
	t.Helper()
	doc := readPage(t, page)
	for _, d := range elements(doc, "details") {
		heads = append(heads, inner(elements(d, "summary")[0]))
		var lines []fallLine
		var cells []*html.Node
		for c := range classed(d, "div", "fall")[0].ChildNodes() {
			if c.Type != html.ElementNode {
				continue
			}
			if cells = append(cells, c); attribute(c, "class") == "nat" {
				lines = append(lines, fallLine{Name: inner(c), Indent: style(t, c, "padding-left", "em")})
				cells = nil
			} else if len(cells) == 4 {
				bar := elements(cells[2], "span")[0]
				lines = append(lines, fallLine{
					Name: inner(cells[0]), Role: inner(cells[1]), Dwell: inner(cells[3]), Class: attribute(bar, "class"),
					Left: style(t, bar, "margin-left", "%"), Width: style(t, bar, "width", "%"), Indent: style(t, cells[0], "padding-left", "em"),
				})
				cells = nil
			}
		}
		falls = append(falls, lines)
	}
	return heads, falls
}

// style returns a length of an element's style.
func style(t rapid.TB, n *html.Node, property, unit string) float64 {
	t.Helper()
	for declaration := range strings.SplitSeq(attribute(n, "style"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(declaration), ":")
		if number, ok := strings.CutSuffix(strings.TrimSpace(value), unit); ok && name == property {
			v, err := strconv.ParseFloat(number, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s in %q", property, attribute(n, "style"))
	return 0
}

// Each bar lies within the ping, begins where its span does, and is as long; the figure
// beside it is the span's.
func TestFallsAreToScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, 3_600_000_000_000).Draw(t, "total")
		w := &bench.Waterfall{NS: total, Title: word(t, "title"), TraceID: "t1"}
		for range rapid.IntRange(1, 12).Draw(t, "spans") {
			start := rapid.Int64Range(0, total).Draw(t, "start")
			w.Spans = append(w.Spans, bench.WaterfallSpan{
				Depth: rapid.IntRange(0, 4).Draw(t, "depth"), Kind: "link", Name: word(t, "name"), Role: word(t, "role"),
				Start: start, NS: rapid.Int64Range(0, total-start).Draw(t, "ns"), Leaf: true,
			})
		}
		r := &bench.Result{Modes: []bench.Mode{{Name: "m", Typical: w}}}
		heads, falls := readFalls(t, render(t, report.HTML, r))
		if want := []string{"A typical ping: " + micros(float64(total)) + " µs"}; !slices.Equal(heads, want) {
			t.Errorf("%q, want %q", heads, want)
		}
		for i, got := range falls[0] {
			s := w.Spans[i]
			share := func(ns int64) float64 { return 100 * float64(ns) / float64(max(total, 1)) }
			if !near(got.Left, share(s.Start), 0.001) || !near(got.Width, share(s.NS), 0.001) || got.Left+got.Width > 100.002 {
				t.Errorf("%+v, want %v and %v", got, share(s.Start), share(s.NS))
			}
			if got.Name != s.Name || got.Role != s.Role || got.Dwell != micros(float64(s.NS)) || !near(got.Indent, 0.41+1.2*float64(s.Depth), 0.006) {
				t.Errorf("%+v, want %+v", got, s)
			}
		}
	})
}

// A mode has both waterfalls, the typical one first, and what happened in a span stands
// below it with its time.
func TestFallsOfAMode(t *testing.T) {
	span := func(depth int, kind string, notes ...bench.Note) bench.WaterfallSpan {
		return bench.WaterfallSpan{Depth: depth, Kind: kind, Name: kind, NS: 1000, Events: notes}
	}
	slow := &bench.Waterfall{NS: 9000, Title: "slow", TraceID: "t2", Spans: []bench.WaterfallSpan{
		span(0, "ping"), span(1, "request"), span(2, "device"), span(3, "bridge", bench.Note{At: 1500, Text: "a -> b"}, bench.Note{At: 2500, Text: "<c>"}), span(3, "transmit"),
		span(2, "device"), span(3, "forward"), span(2, "link"), span(1, "reply"), span(2, "hypervisor"),
	}}
	typical := &bench.Waterfall{NS: 7000, Title: "typical", TraceID: "t1", Spans: []bench.WaterfallSpan{span(0, "ping"), span(1, "request"), span(2, "device")}}
	r := &bench.Result{Modes: []bench.Mode{{Name: "m", Typical: typical, Slowest: slow}, {Name: "none"}, {Name: "one", Slowest: typical}}}
	heads, falls := readFalls(t, render(t, report.HTML, r))
	if want := []string{"A typical ping: 7.000 µs", "The slowest ping: 9.000 µs", "The slowest ping: 7.000 µs"}; !slices.Equal(heads, want) {
		t.Errorf("%q, want %q", heads, want)
	}
	var lines []string
	for _, l := range falls[1] {
		lines = append(lines, fmt.Sprintf("%s|%s", l.Name, l.Class))
	}
	want := []string{
		"ping|bar whole", "request|bar whole", "device|bar f-bridge", "bridge|bar f-bridge part", "◆ a -> b at 1.500 µs|", "◆ <c> at 2.500 µs|", "transmit|bar f-bridge part",
		"device|bar f-router", "forward|bar f-router part", "link|bar f-link", "reply|bar whole", "hypervisor|bar f-hypervisor",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if falls[1][3].Indent != falls[1][4].Indent {
		t.Errorf("a note is indented by %v, its span by %v", falls[1][4].Indent, falls[1][3].Indent)
	}
}
