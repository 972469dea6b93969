// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"

	"github.com/dwelltrace/dwell/internal/bench"
)

// ruleTable shows which spans grow with the firewall's rules.
func ruleTable(s bench.RuleStudy) Table {
	t := Table{
		Title: "Rules in " + s.Mode,
		Note: fmt.Sprintf("Microseconds, medians, with so many rules in the hypervisor's FORWARD chain that match nothing "+
			"(%s; made by %s). The batches took turns. Last: growth of the median per 1,000 rules.", s.Example, s.Tool),
		Heads: words("direction", "span", "in"),
	}
	for _, n := range s.Rules {
		t.Heads = append(t.Heads, Head{Text: strconv.Itoa(n), Figure: true})
	}
	t.Heads = append(t.Heads, Head{Text: "per 1,000", Figure: true})
	t.Rows = append(t.Rows, ruleRow(s.RTT, "", 0), ruleRow(s.Ping, "", 0))
	for _, r := range s.Rows {
		name, depth := r.Name, r.Depth+1
		if r.Path == r.Direction {
			name, depth = "echo "+r.Direction, 0
		}
		r.Name = name
		t.Rows = append(t.Rows, ruleRow(r, r.Direction, depth))
	}
	return t
}

func ruleRow(r bench.RuleRow, direction string, depth int) TableRow {
	cells := []string{direction, r.Name, r.Role}
	for _, f := range r.Figures {
		cell := ""
		if f.Count > 0 {
			cell = microsOf(f.P50)
		}
		cells = append(cells, cell)
	}
	return TableRow{Cells: append(cells, signed(r.PerThousand)), Depth: depth}
}

// signed writes nanoseconds as microseconds with their sign.
func signed(ns float64) string {
	if ns >= 0 {
		return "+" + micros(ns)
	}
	return micros(ns)
}

// calibrationTable shows what tracing itself adds.
func calibrationTable(all []bench.Calibration) Table {
	t := Table{
		Title: "What tracing adds",
		Note: "Medians of the round trip as the pinger saw it, in microseconds; the three kinds of batch took turns. " +
			"Looking: the programs run and record nothing. Last: what one recorded event adds, in nanoseconds, " +
			"and its standard deviation over the batches. It is contained in the figures, not subtracted.",
		Heads: append(words("mode", "pings sent"),
			figures("hooks a ping", "untraced", "looking", "traced", "ns per look", "ns per event", "stddev")...),
	}
	for _, c := range all {
		for _, kind := range []struct {
			name string
			bench.Arms
		}{{"at the interval", c.Paced}, {"as a flood", c.Flood}} {
			t.Rows = append(t.Rows, TableRow{Cells: []string{
				c.Mode, kind.name, strconv.FormatFloat(c.EventsPerPing, 'f', 1, 64),
				microsOf(kind.Untraced.P50), microsOf(kind.Filtered.P50), microsOf(kind.Traced.P50),
				fmt.Sprintf("%.0f", kind.PerHook), fmt.Sprintf("%.0f", kind.PerEvent), fmt.Sprintf("%.0f", kind.Spread),
			}})
		}
	}
	return t
}
