// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// csvLine is a line of bench.csv by the names of its columns.
type csvLine map[string]string

func readCSV(t rapid.TB, text string) []csvLine {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var lines []csvLine
	for _, record := range records[1:] {
		line := csvLine{}
		for i, cell := range record {
			line[records[0][i]] = cell
		}
		lines = append(lines, line)
	}
	return lines
}

// wantLines are the lines that a row makes: one a batch, and one for all.
func wantLines(mode, direction string, position int, row bench.Row) []csvLine {
	head := func(batch string, count int, mean float64) csvLine {
		return csvLine{
			"mode": mode, "direction": direction, "position": strconv.Itoa(position), "depth": strconv.Itoa(row.Depth),
			"kind": row.Kind, "name": row.Name, "in": row.Role, "batch": batch, "count": strconv.Itoa(count), "mean_ns": fmt.Sprintf("%.3f", mean),
			"p50_ns": "", "p99_ns": "", "stddev_ns": "", "min_ns": "", "max_ns": "",
		}
	}
	var lines []csvLine
	for i, b := range row.Batches {
		lines = append(lines, head(strconv.Itoa(i+1), b.Count, b.Mean))
	}
	all := head("all", row.Count, row.Mean)
	all["p50_ns"], all["p99_ns"] = fmt.Sprint(row.P50), fmt.Sprint(row.P99)
	all["stddev_ns"], all["min_ns"], all["max_ns"] = fmt.Sprintf("%.3f", row.StdDev), fmt.Sprint(row.Min), fmt.Sprint(row.Max)
	return append(lines, all)
}

// The CSV has every figure of the study in its place and nothing else, whatever the
// devices are called.
func TestCSVHasEveryFigure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		var want []csvLine
		for _, m := range r.Modes {
			want = append(want, wantLines(m.Name, "", 0, m.RTT)...)
			want = append(want, wantLines(m.Name, "", 0, m.Ping)...)
			for _, d := range m.Directions {
				if d.Name != bench.Between {
					want = append(want, wantLines(m.Name, d.Name, 0, d.Whole)...)
				}
				for i, row := range d.Rows {
					want = append(want, wantLines(m.Name, d.Name, i+1, row)...)
				}
			}
		}
		if diff := cmp.Diff(want, readCSV(t, render(t, report.CSV, r))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The JSON is the study itself: read back it is the same to the last digit.
func TestJSONIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		if rapid.Bool().Draw(t, "studies") {
			r.Rules, r.Calibration = []bench.RuleStudy{rules()}, []bench.Calibration{calibration()}
		}
		var again bench.Result
		text := render(t, report.JSON, r)
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&again); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(*r, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-was +read):\n%s", diff)
		}
		if d.More() || !strings.HasSuffix(text, "}\n") {
			t.Error("more than one value, or no line end")
		}
	})
}
