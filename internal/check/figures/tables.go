// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
)

// table is what text and markdown are made of. The first column has names, the
// others have numbers.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(name string, cells ...string) {
	t.rows = append(t.rows, append([]string{name}, cells...))
}

// tables returns all tables of a report.
func tables(r report) []table {
	return []table{groupTable(r), packageTable(r), arrowTable(r)}
}

// groupTable has a row for all and one for each group.
func groupTable(r report) table {
	t := table{head: append([]string{"GROUP", "PACKAGES"}, figuresHead()...)}
	t.add("all", append([]string{strconv.Itoa(r.All.Packages)}, row{figures: r.All}.cells()...)...)
	for _, group := range r.Groups {
		t.add(group.Name, append([]string{strconv.Itoa(group.Packages)}, group.cells()...)...)
	}
	return t
}

// packageTable has a row for each package.
func packageTable(r report) table {
	t := table{head: append([]string{"PACKAGE"}, figuresHead()...)}
	for _, pkg := range r.Packages {
		t.add(pkg.Name, pkg.cells()...)
	}
	return t
}

// arrowTable has a row for each group and a column for each group that it imports.
func arrowTable(r report) table {
	t := table{head: []string{"FROM/TO"}}
	for _, to := range r.Groups {
		t.head = append(t.head, to.Name)
	}
	for _, from := range r.Groups {
		var cells []string
		for _, to := range r.Groups {
			cells = append(cells, orDash(r.GroupImports[from.Name][to.Name]))
		}
		t.add(from.Name, cells...)
	}
	return t
}

func figuresHead() []string {
	return []string{"FILES", "LINES", "FILE", "FUNC", ">60", "DOC", "COMMENT", "T:S", "IN", "OUT"}
}

// cells returns the figures in the order of figuresHead.
func (r row) cells() []string {
	return []string{
		strconv.Itoa(r.Files), strconv.Itoa(r.Lines), r.FileLines.String(), r.FunctionLines.String(),
		strconv.Itoa(r.LongFunctions), percent(r.Documented, r.Exported), percent(r.CommentLines, r.Lines),
		ratio(r.TestLines, r.Lines), orDash(r.FanIn), orDash(r.FanOut),
	}
}

// legend explains the columns that do not explain themselves.
func legend() []string {
	return []string{
		"FILE, FUNC: length in lines, median·90th percentile·maximum. >60: functions longer than that.",
		"DOC: exported names with documentation. COMMENT: lines with nothing but a comment.",
		"T:S: test lines ÷ source lines. IN, OUT: imports from and to other packages or groups of the module, without those of tests.",
	}
}

func (s spread) String() string { return fmt.Sprintf("%d·%d·%d", s.Median, s.P90, s.Max) }

func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(part)/float64(whole))
}

func ratio(a, b int) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
