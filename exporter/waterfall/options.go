// SPDX-License-Identifier: Apache-2.0

package waterfall

// Options of a drawing. The zero value draws 100 columns of UTF-8 without colour,
// which is right for a pipe.
type Options struct {
	// Width in columns; default 100. Below 60 it is drawn for 60.
	Width int
	// Color uses ANSI escapes. The caller decides, by terminal and NO_COLOR.
	Color bool
	// ASCII draws with ASCII characters only, for locales that are not UTF-8.
	ASCII bool
}

const (
	defaultWidth = 100
	minWidth     = 60
)

func (o Options) width() int {
	if o.Width == 0 {
		return defaultWidth
	}
	return max(o.Width, minWidth)
}

// glyphs are the characters of a drawing.
type glyphs struct {
	// branch and last lead to a child, pipe and blank pass by.
	branch, last, pipe, blank string
	// event marks an event in a bar and before its text; into stands before what
	// something became.
	// dropped stands before which rule dropped the packet.
	event, into, dropped string
	ellipsis             string
	rule                 string
	// bar draws n eighths of a column from the left, 1 to 8.
	bar [9]string
	// right draws the right half of a column, or less.
	right, thinRight string
	micro            string
}

var utf8Glyphs = glyphs{
	branch: "├─ ", last: "└─ ", pipe: "│  ", blank: "   ",
	event: "◆", into: "→", dropped: "✗", ellipsis: "…", rule: "─",
	bar:   [9]string{" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"},
	right: "▐", thinRight: "▕",
	micro: "µs",
}

var asciiGlyphs = glyphs{
	branch: "|- ", last: "`- ", pipe: "|  ", blank: "   ",
	event: "*", into: "->", dropped: "x", ellipsis: "~", rule: "-",
	bar:   [9]string{" ", "|", "|", "|", "#", "#", "#", "#", "#"},
	right: "#", thinRight: "|",
	micro: "us",
}

func (o Options) glyphs() *glyphs {
	if o.ASCII {
		g := asciiGlyphs
		return &g
	}
	g := utf8Glyphs
	return &g
}
