// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// grid is a table as a reader sees it: the heads, then the rows.
type grid struct {
	Title string
	Rows  [][]string
}

// grids are what the forms have to show.
func grids(r *bench.Result) []grid {
	var all []grid
	for _, t := range report.Tables(r) {
		g := grid{Title: t.Title}
		var heads []string
		for _, h := range t.Heads {
			heads = append(heads, h.Text)
		}
		g.Rows = append(g.Rows, heads)
		for _, row := range t.Rows {
			g.Rows = append(g.Rows, row.Cells)
		}
		all = append(all, g)
	}
	return all
}

// readMarkdown reads the tables as GitHub does: a cell ends at a bar without a
// backslash; backslashes and entities stand for characters.
func readMarkdown(text string) []grid {
	var all []grid
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if title, ok := strings.CutPrefix(line, "## "); ok {
			all = append(all, grid{Title: plainMarkdown(title)})
		}
		if !strings.HasPrefix(line, "|") || regexp.MustCompile(`^\|( -*:? \|| --- \|| --: \|)+$`).MatchString(line) {
			continue
		}
		g := &all[len(all)-1]
		g.Rows = append(g.Rows, markdownCells(line))
	}
	return all
}

func markdownCells(line string) []string {
	var cells []string
	var cell strings.Builder
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line):
			cell.WriteString(line[i : i+2])
			i++
		case line[i] == '|':
			text := strings.TrimSuffix(strings.TrimPrefix(cell.String(), " "), " ")
			cells = append(cells, plainMarkdown(text))
			cell.Reset()
		default:
			cell.WriteByte(line[i])
		}
	}
	return cells
}

// plainMarkdown takes off what marks bold and indented cells, and what escapes.
func plainMarkdown(s string) string {
	s = strings.NewReplacer("&emsp;", "", `\*`, "&#42;", "**", "").Replace(s)
	return html.UnescapeString(regexp.MustCompile(`\\([!-/:-@\[-`+"`"+`{-~])`).ReplaceAllString(s, "$1"))
}

// Markdown shows the tables that there are, cell by cell.
func TestMarkdownIsTheTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		text := render(t, report.Markdown, r)
		if diff := cmp.Diff(grids(r), readMarkdown(text)); diff != "" {
			t.Errorf("(-tables +Markdown):\n%s\n%s", diff, text)
		}
		if markup := regexp.MustCompile("(^|[^\\\\])[\\[`~*_]|<").FindString(strings.ReplaceAll(text, "**", "")); markup != "" {
			t.Errorf("%q is markup in\n%s", markup, text)
		}
	})
}

// HTML shows the same, with the name of a mode in the place of the tables' titles.
func TestHTMLIsTheTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		want := grids(r)
		for i := range want {
			for _, m := range r.Modes {
				want[i].Title = strings.TrimPrefix(want[i].Title, m.Name+": ")
			}
		}
		if diff := cmp.Diff(want, readHTML(t, render(t, report.HTML, r))); diff != "" {
			t.Errorf("(-tables +HTML):\n%s", diff)
		}
	})
}

// Text shows the same in columns: words stand on the left of theirs, figures on the
// right, and a rule as wide as all of them above the sum.
func TestTextIsTheTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		var want []string
		for _, table := range report.Tables(r) {
			want = append(want, strings.Join(drawn(table), "\n")+"\n")
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), render(t, wide, r)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func wide(w io.Writer, r *bench.Result) error { return report.Text(w, r, report.TextOptions{}) }

// drawn are the lines of a table.
func drawn(t report.Table) []string {
	var heads []string
	span := 0
	for i, h := range t.Heads {
		heads = append(heads, h.Text)
		if h.Text == "span" {
			span = i
		}
	}
	cells := [][]string{heads}
	for _, row := range t.Rows {
		row.Cells = slices.Clone(row.Cells)
		row.Cells[span] = strings.Repeat("  ", row.Depth) + row.Cells[span]
		cells = append(cells, row.Cells)
	}
	lines := make([]string, len(cells))
	for i, h := range t.Heads {
		width := 0
		for _, c := range cells {
			width = max(width, utf8.RuneCountInString(c[i]))
		}
		if !h.Figure {
			width = -width // fmt pads on the right
		}
		for k, c := range cells {
			lines[k] += fmt.Sprintf("  %*s", width, c[i])
		}
	}
	rule := strings.Repeat("─", utf8.RuneCountInString(lines[0])-2)
	out := []string{t.Title}
	for i, line := range lines {
		if i == 1 || i > 1 && t.Rows[i-1].Sum {
			out = append(out, rule)
		}
		out = append(out, strings.TrimRight(line[2:], " "))
	}
	return out
}
