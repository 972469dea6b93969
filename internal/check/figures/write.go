// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// writerOf returns what writes a report in a format.
func writerOf(format string) (func(io.Writer, report) error, error) {
	switch format {
	case "text":
		return writeText, nil
	case "markdown":
		return writeMarkdown, nil
	case "json":
		return writeJSON, nil
	}
	return nil, fmt.Errorf("%q is not a format: want text, markdown or json", format)
}

func writeJSON(w io.Writer, r report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func writeText(w io.Writer, r report) error {
	return write(w, r, "\n", table.text)
}

func writeMarkdown(w io.Writer, r report) error {
	// Two spaces at the end of a line break it.
	return write(w, r, "  \n", table.markdown)
}

// write writes the summary, the tables and the legend.
func write(w io.Writer, r report, newline string, render func(table) string) error {
	var b strings.Builder
	b.WriteString(strings.Join(summary(r), newline) + "\n")
	for _, t := range tables(r) {
		b.WriteString("\n" + render(t))
	}
	b.WriteString("\n" + strings.Join(legend(), newline) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func summary(r report) []string {
	return []string{
		"module: " + r.Module,
		fmt.Sprintf("packages: %d", r.All.Packages),
		fmt.Sprintf("imports between packages: %d", r.Imports.arrows()),
		"cycles of packages: " + cyclesText(r.Cycles),
		"cycles of groups: " + cyclesText(r.GroupCycles),
	}
}

func cyclesText(cycles [][]string) string {
	if len(cycles) == 0 {
		return "none"
	}
	var each []string
	for _, names := range cycles {
		each = append(each, strings.Join(names, " "))
	}
	return strings.Join(each, ", ")
}

// text aligns the columns, names to the left and numbers to the right.
func (t table) text() string {
	lines := append([][]string{t.head}, t.rows...)
	widths := make([]int, len(t.head))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		for i, cell := range cells {
			// The width of %*s is in runes.
			if i == 0 {
				fmt.Fprintf(&b, "%-*s", widths[i], cell)
			} else {
				fmt.Fprintf(&b, "  %*s", widths[i], cell)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (t table) markdown() string {
	align := []string{"---"}
	for range t.head[1:] {
		align = append(align, "--:")
	}
	var b strings.Builder
	for _, cells := range append([][]string{t.head, align}, t.rows...) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}
