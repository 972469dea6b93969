// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/csv"
	"fmt"
	"strconv"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// printed are the paper's listings that print intervals of a single ping, and what
// measures the same here. The fourth interval of the bridged tunnel is its last link,
// for there the packets outside the tunnel were not traced.
func printed() []studied {
	hop := []counterpart{{trace.KindLink, 1}, {trace.KindDevice, 1}, {trace.KindLink, 2}, {trace.KindHypervisor, 1}}
	return []studied{
		{"bridge-namespaces", "bridge-namespaces", hop},
		{"routed-namespaces", "routed", hop},
		{"tunnel-bridged", "vxlan-bridged", []counterpart{{trace.KindLink, 1}, {trace.KindDevice, 1}, {trace.KindDevice, 3}, {trace.KindLink, 4}}},
	}
}

// intervalTable puts the paper's single pings beside our medians.
func intervalTable(r *bench.Result) Table {
	t := Table{
		Title: "The single pings that the paper printed",
		Note:  "Microseconds: one request from the paper's listings, next to our median.",
		Heads: append(words("mode", "from", "to", "measured here as"), figures("paper", "here p50", "paper / here")...),
	}
	lines, err := paperIntervals()
	if err != nil {
		t.Note = err.Error()
		return t
	}
	for _, s := range printed() {
		m := modeNamed(r, s.mode)
		n := 0
		for _, l := range lines {
			if l.transcript != s.name {
				continue
			}
			if n++; m == nil || n > len(s.rows) {
				continue
			}
			cells := []string{s.mode, l.from, l.to, "–", microsOf(l.ns), "", ""}
			if row := find(m, s.rows[n-1]); row != nil {
				cells[3], cells[5] = row.Name, microsOf(row.P50)
				cells[6] = ratio(float64(l.ns), float64(row.P50))
			}
			t.Rows = append(t.Rows, TableRow{Cells: cells})
		}
	}
	return t
}

type paperInterval struct {
	transcript, from, to string
	ns                   int64
}

func paperIntervals() ([]paperInterval, error) {
	f, err := paperData.Open("paper/intervals.csv")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the paper's intervals: %w", err)
	}
	var all []paperInterval
	for _, l := range lines[1:] {
		ns, err := strconv.ParseInt(l[4], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the paper's intervals: %w", err)
		}
		all = append(all, paperInterval{l[0], l[2], l[3], ns})
	}
	return all, nil
}
