// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
	"github.com/dwelltrace/dwell/exporter/waterfall"
)

// rows returns the spans' lines of a drawing, in the order of the trace: those below
// which no event's mark stands.
func rows(t rapid.TB, tr *trace.Trace, o waterfall.Options) (p picture, spans []line) {
	t.Helper()
	p = readPicture(t, draw(t, tr, o))
	i := 0
	for _, s := range tr.Spans {
		spans = append(spans, p.lines[i])
		i += 1 + eventLines(&s)
	}
	if i != len(p.lines) {
		t.Fatalf("%d lines for %d spans and their events:\n%s", len(p.lines), len(tr.Spans), draw(t, tr, o))
	}
	return p, spans
}

// eventLines is how many lines the events of a span take: a NAT two, if both of its
// sides are known, and a failed leaf one if no event says why.
func eventLines(s *trace.Span) int {
	n, dropped := 0, false
	for _, e := range s.Events {
		n++
		if e.Name == trace.EventNAT && value(e, trace.AttrNATBefore) != "" {
			n++
		}
		dropped = dropped || e.Name == trace.EventDrop
	}
	if s.Leaf && s.Error != "" && !dropped {
		n++
	}
	return n
}

func value(e trace.Event, key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Value()
		}
	}
	return ""
}

// No line is wider than the drawing, which is as wide as asked for but for a least
// width, and the rule below the heads is exactly that.
func TestWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		asked := rapid.IntRange(0, 250).Draw(t, "width")
		want := max(asked, 60)
		if asked == 0 {
			want = 100
		}
		ascii := rapid.Bool().Draw(t, "ASCII")
		p := readPicture(t, draw(t, tr, waterfall.Options{Width: asked, ASCII: ascii}))
		if p.width != want {
			t.Errorf("%d columns, want %d", p.width, want)
		}
		if n := text.Width(p.heads); n != want {
			t.Errorf("the heads take %d columns instead of %d: %q", n, want, p.heads)
		}
		for _, l := range p.lines {
			if n := text.Width(l.all); n > want {
				t.Errorf("%d columns instead of %d: %q", n, want, l.all)
			}
		}
		if least := (want - (want - p.dwell) - 4) / 4; p.columns() < least-1 {
			t.Errorf("the bars have %d columns of %d", p.columns(), want)
		}
	})
}

// Every bar stands in its frame and is not empty; it begins and ends in the column that
// its times say, to one column, and no bar leaves that of its parent.
func TestBars(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		p, spans := rows(t, tr, waterfall.Options{Width: rapid.IntRange(60, 200).Draw(t, "width")})
		start, total := tr.Root().Start, max(tr.Root().Duration(), 1)
		column := func(at int64) float64 { return float64(at-start) / float64(total) * float64(p.columns()) }
		for i, l := range spans {
			s := &tr.Spans[i]
			first, last := extent(l.bar)
			if first < 0 || last >= p.columns() {
				t.Fatalf("span %d has a bar from %d to %d in %d columns: %q", i, first, last, p.columns(), l.all)
			}
			from, to := column(s.Start), max(column(s.End), column(s.Start))
			if float64(first) > from+1 || float64(first) < from-1 || float64(last) > to+1 || float64(last) < to-2 {
				t.Errorf("span %d from %.2f to %.2f is drawn from %d to %d: %q", i, from, to, first, last, l.all)
			}
			if strings.Contains(strings.Trim(l.bar, " "), " ") {
				t.Errorf("a bar with a hole: %q", l.all)
			}
			if s.Parent == trace.NoParent {
				continue
			}
			if above, below := extent(spans[s.Parent].bar); first < above || last > max(below, first) {
				t.Errorf("span %d stands from %d to %d, its parent from %d to %d", i, first, last, above, below)
			}
		}
	})
}

// A span that begins later does not begin further left, and one that ends later does not
// end further left.
func TestBarsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		_, spans := rows(t, tr, waterfall.Options{})
		for i := range tr.Spans {
			for j := range tr.Spans {
				a, b := &tr.Spans[i], &tr.Spans[j]
				firstA, lastA := extent(spans[i].bar)
				firstB, lastB := extent(spans[j].bar)
				if a.Start <= b.Start && firstA > firstB || a.Start <= b.Start && a.End <= b.End && lastA > lastB {
					t.Errorf("[%d, %d] from %d to %d, [%d, %d] from %d to %d", a.Start-begin, a.End-begin, firstA, lastA, b.Start-begin, b.End-begin, firstB, lastB)
				}
			}
		}
	})
}

// The figure at the end of a line is the span's, to the nanosecond, and the scale ends
// with that of the whole.
func TestDwells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		p, spans := rows(t, tr, waterfall.Options{Width: rapid.IntRange(60, 200).Draw(t, "width")})
		for i, l := range spans {
			if got := nanoseconds(t, l.dwell); got != tr.Spans[i].Duration() {
				t.Errorf("%d ns are written %q", tr.Spans[i].Duration(), l.dwell)
			}
		}
		whole := spans[0].dwell
		if text.Width(whole) >= p.columns()-1 {
			whole = "" // it would stick to the 0
		}
		if p.total != whole {
			t.Errorf("the scale ends with %q instead of %q in %d columns", p.total, whole, p.columns())
		}
	})
}

func nanoseconds(t rapid.TB, s string) int64 {
	t.Helper()
	number, unit, _ := strings.Cut(s, " ")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	factors := map[string]float64{"ns": 1, "µs": 1e3, "us": 1e3, "ms": 1e6, "s": 1e9}
	if factors[unit] == 0 || v*factors[unit] >= 1e3*factors[unit] && unit != "s" {
		t.Fatalf("unit of %q", s)
	}
	return int64(math.Round(v * factors[unit]))
}

// The tree is drawn as it is: every line as deep as its span, and the last child of a
// span closes its branch.
func TestTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		_, spans := rows(t, tr, waterfall.Options{Width: 200})
		for i, l := range spans {
			s := &tr.Spans[i]
			if i == 0 {
				continue // its name may begin with anything
			}
			if got := depth(l.name); got != int(s.Depth) {
				t.Errorf("depth %d, want %d: %q", got, s.Depth, l.all)
			}
			last := true
			for _, o := range tr.Spans[i+1:] {
				last = last && o.Parent != s.Parent
			}
			corner := string([]rune(l.name)[3*int(s.Depth)-3])
			if want := map[bool]string{true: "└", false: "├"}[last]; corner != want {
				t.Errorf("%q instead of %q: %q", corner, want, l.all)
			}
		}
	})
}

// The lines of an event stand within the branch of their span: below its name, with the
// lines of the tree that go on to what follows.
func TestTreePassesEvents(t *testing.T) {
	nat := event(trace.EventNAT, 1, trace.AttrNATBefore, "a", trace.AttrNATAfter, "b")
	tr := withEvents("", nat)
	tr.Spans[0].Events = []trace.Event{nat}
	leaf := tr.Spans[1]
	tr.Add(1, leaf)
	tr.Add(0, leaf)
	var got []string
	for _, l := range readPicture(t, draw(t, tr, waterfall.Options{})).lines {
		got = append(got, strings.TrimRight(l.name, " "))
	}
	want := []string{
		"ping", "│  ◆ nat a", "│      → b",
		"├─ forward", "│  │  ◆ nat a", "│  │      → b",
		"│  └─ forward", "│     ◆ nat a", "│         → b",
		"└─ forward", "   ◆ nat a", "       → b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// In a narrow terminal services give way first, down to 10 columns, then names, down to
// 18; an event's text gives way before either. In a wide one nothing is cut.
func TestWhatGivesWay(t *testing.T) {
	for _, tt := range []struct {
		width, name, service int
		names, services      int // columns
	}{
		{60, 30, 30, 23, 10},
		{60, 40, 10, 23, 10},
		{60, 12, 40, 12, 21},
		{60, 12, 20, 12, 20},
		{72, 50, 50, 32, 10},
		{200, 50, 50, 50, 50},
		{100, 3, 3, 4, 7},
	} {
		tr := withEvents("")
		tr.Spans = tr.Spans[:1]
		tr.Root().Title, tr.Root().NetNS.Name = strings.Repeat("n", tt.name), strings.Repeat("s", tt.service)
		p := readPicture(t, draw(t, tr, waterfall.Options{Width: tt.width}))
		if names, services := p.service-2, p.bar-2-p.service; names != tt.names || services != tt.services {
			t.Errorf("%d columns: names of %d take %d, want %d; services of %d take %d, want %d", tt.width, tt.name, names, tt.names, tt.service, services, tt.services)
		}
	}
}

// An event whose text is longer than the names gets what the bars can spare, which is all
// but a quarter of what is left beside the figures.
func TestEventsAreCutLast(t *testing.T) {
	for _, tt := range []struct{ width, columns, want int }{{100, 20, 20}, {100, 34, 34}, {60, 35, 35}, {60, 36, 35}, {60, 5, 19}} {
		tr := withEvents("", event(strings.Repeat("e", tt.columns-5), 1)) // behind "   ◆ "
		p := readPicture(t, draw(t, tr, waterfall.Options{Width: tt.width}))
		if got := p.bar - 2; got != tt.want || strings.Contains(p.lines[2].all, "…") != (tt.columns > tt.want) {
			t.Errorf("%d columns: the event has %d, want %d: %q", tt.width, got, tt.want, p.lines[2].all)
		}
	}
}
