// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// A span of which a view does not show the end stands beside itself all the same.
func TestBesideSpanSeenInPart(t *testing.T) {
	whole := tracetest.Complete(17)
	at := slices.IndexFunc(whole.Spans, func(s trace.Span) bool { return s.Kind == trace.KindHypervisor })
	part := *whole
	part.Spans = slices.Clone(whole.Spans)
	part.Spans[at].End = whole.Spans[at+1].End
	drawing := drawBeside(t, whole, &part, waterfall.Options{Width: 180})
	if n := strings.Count(drawing, "\n"); n != strings.Count(draw(t, whole, waterfall.Options{Width: 88}), "\n")+1 {
		t.Errorf("%d lines:\n%s", n, drawing)
	}
}

// hidden returns a copy in which everything from a span on, up to the end of its journey, is
// one leaf.
func hidden(t *trace.Trace, from int) *trace.Trace {
	less := *t
	parent := from - 1
	for t.Spans[parent].Depth >= t.Spans[from].Depth {
		parent--
	}
	end := t.After(parent)
	less.Spans = slices.Clone(t.Spans[:from+1])
	less.Spans[from].Title, less.Spans[from].Leaf, less.Spans[from].Events = "beyond tap-blue-0", true, nil
	less.Spans[from].End = t.Spans[end-1].End
	less.Spans = append(less.Spans, t.Spans[end:]...)
	less.ReplySpan -= len(t.Spans) - len(less.Spans)
	return &less
}

func drawBeside(t rapid.TB, left, right *trace.Trace, o waterfall.Options) string {
	t.Helper()
	var b bytes.Buffer
	err := waterfall.Beside(&b, waterfall.View{Head: "OPERATOR", Trace: left}, waterfall.View{Head: "RED", Trace: right}, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBesideGolden(t *testing.T) {
	whole := tracetest.Complete(17)
	from := slices.IndexFunc(whole.Spans, func(s trace.Span) bool { return s.Kind == trace.KindHypervisor })
	for name, o := range map[string]waterfall.Options{
		"beside":       {Width: 180},
		"beside-color": {Width: 180, Color: true},
		"beside-ascii": {Width: 180, ASCII: true},
		"below":        {Width: 120},
	} {
		got := drawBeside(t, whole, hidden(whole, from), o)
		file := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// Whatever two traces: every line of either stands there, in its order, in its half; and a
// trace beside itself has no gap.
func TestBesideLosesNoLine(t *testing.T) {
	const width = 180
	const half = (width - len(" | ")) / 2
	rapid.Check(t, func(t *rapid.T) {
		left, right := anyTrace(t), anyTrace(t)
		if rapid.Bool().Draw(t, "same") {
			right = left
		}
		drawing := drawBeside(t, left, right, waterfall.Options{Width: width})
		var halves [2][]string
		for _, l := range strings.Split(strings.TrimSuffix(drawing, "\n"), "\n") {
			if text.Width(l) > width {
				t.Errorf("%d columns in\n%s", text.Width(l), l)
			}
			for i, from := range []int{0, half + 3} {
				halves[i] = append(halves[i], strings.TrimRight(cut(l, from, from+half), " "))
			}
			if cut(l, half, half+3) != " │ " {
				t.Errorf("no line down the middle of\n%s", l)
			}
		}
		for i, tr := range []*trace.Trace{left, right} {
			alone := strings.Split(strings.TrimSuffix(draw(t, tr, waterfall.Options{Width: half}), "\n"), "\n")[5:]
			rows := slices.DeleteFunc(halves[i][6:], func(l string) bool { return l == "" })
			if diff := cmp.Diff(alone, rows); diff != "" {
				t.Errorf("side %d: -alone +beside\n%s", i, diff)
			}
		}
		if left == right && len(halves[0]) != strings.Count(draw(t, left, waterfall.Options{Width: half}), "\n")+1 {
			t.Errorf("gaps in\n%s", drawing)
		}
	})
}
