// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/csv"
	"io"
	"strconv"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// CSV writes one line a row and batch, and one for all batches (batch "all"), with a
// header. Times are in nanoseconds. RFC 4180, but with line feeds only.
func CSV(w io.Writer, r *bench.Result) error {
	out := csv.NewWriter(w)
	lines := [][]string{{
		"mode", "direction", "position", "depth", "kind", "name", "in", "batch", "count",
		"mean_ns", "p50_ns", "p99_ns", "stddev_ns", "min_ns", "max_ns",
	}}
	for _, m := range r.Modes {
		lines = append(lines, csvRows(m.Name, "", 0, m.RTT)...)
		lines = append(lines, csvRows(m.Name, "", 0, m.Ping)...)
		for _, d := range m.Directions {
			if d.Whole.Count > 0 {
				lines = append(lines, csvRows(m.Name, d.Name, 0, d.Whole)...)
			}
			for i, row := range d.Rows {
				lines = append(lines, csvRows(m.Name, d.Name, i+1, row)...)
			}
		}
	}
	return out.WriteAll(lines)
}

func csvRows(mode, direction string, position int, row bench.Row) [][]string {
	head := []string{mode, direction, strconv.Itoa(position), strconv.Itoa(row.Depth), row.Kind, row.Name, row.Role}
	var lines [][]string
	add := func(cells ...string) { lines = append(lines, append(append([]string(nil), head...), cells...)) }
	for i, b := range row.Batches {
		add(strconv.Itoa(i+1), strconv.Itoa(b.Count), decimal(b.Mean), "", "", "", "", "")
	}
	f := row.Figures
	add("all", strconv.Itoa(f.Count), decimal(f.Mean), strconv.FormatInt(f.P50, 10), strconv.FormatInt(f.P99, 10),
		decimal(f.StdDev), strconv.FormatInt(f.Min, 10), strconv.FormatInt(f.Max, 10))
	return lines
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
