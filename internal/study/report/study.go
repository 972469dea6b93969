// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// ruleTable shows which spans grow with the firewall's rules.
func ruleTable(s bench.RuleStudy) Table {
	t := Table{
		Title: "Rules in " + s.Mode,
		Note: fmt.Sprintf("Medians in microseconds, by the number of rules in the hypervisor's FORWARD chain, none of which matches "+
			"(%s, added by %s). The batches were interleaved. Last column: growth of the median per 1,000 rules; "+
			"leaves in bold account for a tenth or more of the ping's growth.", s.Example, s.Tool),
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
		grows := r.Leaf && s.Ping.PerThousand > 0 && r.PerThousand >= s.Ping.PerThousand/10
		r.Name = name
		row := ruleRow(r, r.Direction, depth)
		row.Strong = grows
		t.Rows = append(t.Rows, row)
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

// calibrationTables show what tracing itself adds: to the pinger's round trip, and to
// an interval that the hooks measure.
func calibrationTables(all []bench.Calibration) []Table {
	trip := Table{
		Title: "What tracing adds to the round trip",
		Note: "Medians of the pinger's round trips, in microseconds; the kinds of batch were interleaved. Checking: the programs run but record nothing. " +
			"Then what each hook adds, in nanoseconds, when it checks and when it records, and the standard deviation of the latter over the batches. " +
			"The figures of this report include all of this; nothing is subtracted.",
		Heads: append(words("mode", "pings sent"),
			figures("hooks/ping", "untraced", "checking", "traced", "ns/check", "ns/event", "stddev")...),
	}
	known := Table{
		Title: "What tracing adds to an interval",
		Note: "The ping from the first hook to delivery, median in microseconds, with only the guest's hooks recorded and with all of them; " +
			"then what each recording hook adds beyond the check, in nanoseconds.",
		Heads: append(words("mode", "pings sent"),
			figures("hooks, few", "ping", "hooks, many", "ping", "ns/record")...),
	}
	for _, c := range all {
		for _, pace := range []struct {
			name string
			bench.Arms
		}{{"at the interval", c.Paced}, {"as a flood", c.Flood}} {
			trip.Rows = append(trip.Rows, TableRow{Cells: []string{
				c.Mode, pace.name, hooks(pace.Many),
				microsOf(pace.Untraced.P50), microsOf(pace.Looking.P50), microsOf(pace.Traced.P50),
				fmt.Sprintf("%.0f", pace.PerLook), fmt.Sprintf("%.0f", pace.PerEvent), fmt.Sprintf("%.0f", pace.Spread),
			}})
			known.Rows = append(known.Rows, TableRow{Cells: []string{
				c.Mode, pace.name, hooks(pace.Few), microsOf(pace.Few.P50), hooks(pace.Many), microsOf(pace.Many.P50),
				fmt.Sprintf("%.0f", pace.PerRecord),
			}})
		}
	}
	return []Table{trip, known}
}

func hooks(k bench.Known) string { return strconv.FormatFloat(k.Hooks, 'f', 1, 64) }
