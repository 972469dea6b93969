// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"html/template"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// fall is a ping's waterfall as the page draws it: a row a span, with a bar whose
// place and length are shares of the ping.
type fall struct {
	Which, Title, TraceID, Total string
	Rows                         []fallRow
}

type fallRow struct {
	Name, Role, Dwell string
	Depth             int
	Leaf              bool
	Kind              category
	Bar               template.CSS
	Notes             []string
}

// falls are the waterfalls that a mode has.
func falls(m *bench.Mode) []fall {
	var all []fall
	for _, f := range []struct {
		which string
		*bench.Waterfall
	}{{"A typical ping", m.Typical}, {"The slowest ping", m.Slowest}} {
		if f.Waterfall != nil {
			all = append(all, newFall(f.which, f.Waterfall))
		}
	}
	return all
}

func newFall(which string, w *bench.Waterfall) fall {
	f := fall{Which: which, Title: w.Title, TraceID: w.TraceID, Total: microsOf(w.NS) + " µs"}
	var top category
	for i, s := range w.Spans {
		switch {
		case s.Depth < 2:
			top = catNone // the ping and its journeys
		case s.Depth == 2:
			switches := i+1 < len(w.Spans) && w.Spans[i+1].Depth > 2 && w.Spans[i+1].Kind == trace.KindBridge.String()
			top = categoryOf(s.Kind, switches)
		}
		row := fallRow{
			Name: s.Name, Role: s.Role, Dwell: microsOf(s.NS), Depth: s.Depth, Leaf: s.Leaf, Kind: top,
			Bar: barStyle(s.Start, s.NS, w.NS),
		}
		for _, n := range s.Events {
			row.Notes = append(row.Notes, fmt.Sprintf("%s at %s µs", n.Text, microsOf(n.At)))
		}
		f.Rows = append(f.Rows, row)
	}
	return f
}

// barStyle places a bar.
func barStyle(start, ns, total int64) template.CSS {
	share := func(v int64) float64 { return 100 * float64(v) / float64(max(total, 1)) }
	return template.CSS(fmt.Sprintf("margin-left: %.3f%%; width: %.3f%%", share(start), share(ns))) //nolint:gosec // numbers
}
