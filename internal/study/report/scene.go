// SPDX-License-Identifier: Apache-2.0

package report

// scene is a picture made of rectangles and text, in pixels of 1/96 inch, which is
// written as SVG or drawn as PNG.
type scene struct {
	width, height float64
	rects         []rect
	texts         []label
}

// rect is filled with the colour of an ink.
type rect struct {
	x, y, w, h float64
	ink        ink
	// title is shown while a reader points at it.
	title string
}

// label is a line of text; y is its baseline.
type label struct {
	x, y   float64
	text   string
	anchor anchor
	size   float64
	bold   bool
	ink    ink
}

type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

// ink is a colour by its purpose, because it differs between the light and the dark
// scheme.
type ink string

const (
	inkPaper ink = "paper"
	inkText  ink = "text"
	inkFaint ink = "faint"
	inkRule  ink = "rule"
	// inkOn is for text on the colour of a category.
	inkOn ink = "on"
)

// shade is an ink's colour in the light and the dark scheme.
type shade struct{ light, dark string }

// shades of all inks. Those of the categories are distinguished by lightness as well as
// hue where they are neighbours, for readers who see few hues; the light ones carry white
// text, the dark ones black, at a contrast of 4.5 or more (WCAG 2.2, 1.4.3).
func shades() map[ink]shade {
	return map[ink]shade{
		inkPaper: {"#ffffff", "#15181d"},
		inkText:  {"#1c2128", "#e6e9ee"},
		inkFaint: {"#5b6572", "#9aa4b2"},
		inkRule:  {"#dde2e8", "#2d333c"},
		inkOn:    {"#ffffff", "#101318"},

		ink(catQueue):      {"#66707c", "#8d98a6"},
		ink(catLink):       {"#0b6fa4", "#56b4e9"},
		ink(catBridge):     {"#00805f", "#3fc79a"},
		ink(catRouter):     {"#8a6100", "#e3b341"},
		ink(catHypervisor): {"#b3400a", "#ff8f5a"},
		ink(catTunnel):     {"#7a3fa0", "#c79bea"},
		ink(catDriver):     {"#5c6b1f", "#b9c95c"},
		ink(catEndpoint):   {"#3f5aa8", "#8fa8f0"},
		ink(catBeyond):     {"#766a5a", "#bfb29f"},
		ink(catOther):      {"#a0305f", "#f08bb4"},
	}
}
