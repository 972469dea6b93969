// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/exporter/internal/text"
)

// picture is a drawing taken apart by the columns that its heads stand in.
type picture struct {
	width int
	title []string
	heads string
	lines []line
	// bar and dwell are the columns that those begin in.
	service, bar, dwell int
	total               string
}

// line is one below the heads.
type line struct {
	all                       string
	name, service, bar, dwell string
}

// figure is a time at the end of a line.
var figure = regexp.MustCompile(`\+?[0-9.]+ (ns|µs|us|ms|s)$`)

// readPicture takes a drawing apart.
func readPicture(t rapid.TB, drawing string) picture {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(drawing, "\n"), "\n")
	if len(lines) < 6 {
		t.Fatalf("only %d lines:\n%s", len(lines), drawing)
	}
	p := picture{width: text.Width(lines[4]), title: lines[:2], heads: lines[3]}
	heads := p.heads
	p.service = strings.Index(heads, "SERVICE")
	p.bar = p.service + strings.Index(heads[p.service:], " 0") + 1
	widest := len("DWELL")
	for _, l := range lines[5:] {
		widest = max(widest, text.Width(figure.FindString(l)))
	}
	p.dwell = p.width - widest
	p.total = strings.TrimSpace(cut(heads, p.bar+1, p.dwell-2))
	for _, l := range lines[5:] {
		p.lines = append(p.lines, line{
			all: l, name: cut(l, 0, p.service-2), service: cut(l, p.service, p.bar-2), bar: cut(l, p.bar, p.dwell-2), dwell: strings.TrimSpace(cut(l, p.dwell, p.width)),
		})
	}
	return p
}

// cut returns what stands in some columns of a line, filled up with blanks.
func cut(s string, from, to int) string {
	var b strings.Builder
	at := 0
	for _, r := range s {
		if at >= from && at < to {
			b.WriteRune(r)
		}
		at += text.Width(string(r))
	}
	return b.String() + strings.Repeat(" ", max(0, to-max(at, from)))
}

// extent returns the columns of the first and the last character of a bar that are not
// blank, counted from its frame's left, or -1 if all are.
func extent(bar string) (first, last int) {
	first, last = -1, -1
	at := 0
	for _, r := range bar {
		if r != ' ' {
			if first < 0 {
				first = at
			}
			last = at
		}
		at++
	}
	return first, last
}

// columns is how many columns the bars have.
func (p *picture) columns() int { return p.dwell - 2 - p.bar }

// depth says how deep in the tree a line stands, by what is drawn before its name.
func depth(name string) int {
	n := 0
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		if !strings.ContainsRune("│├└ ", r) {
			break
		}
		rest := name[size:]
		switch {
		case strings.HasPrefix(rest, "─ "):
			return n + 1
		case strings.HasPrefix(rest, "  "):
			n++
			name = rest[2:]
		default:
			return n
		}
	}
	return n
}
