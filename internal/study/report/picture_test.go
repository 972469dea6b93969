// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"encoding/xml"
	"regexp"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"pgregory.net/rapid"
)

// scale is how many pixels of the PNG make one of the SVG.
const scale = 2

// picture is a chart as a browser reads it.
type picture struct {
	ViewBox string  `xml:"viewBox,attr"`
	Width   float64 `xml:"width,attr"`
	Height  float64 `xml:"height,attr"`
	Style   string  `xml:"style"`
	Boxes   []box   `xml:"rect"`
	Texts   []text  `xml:"text"`
}

type box struct {
	Class string  `xml:"class,attr"`
	X     float64 `xml:"x,attr"`
	Y     float64 `xml:"y,attr"`
	W     float64 `xml:"width,attr"`
	H     float64 `xml:"height,attr"`
	Title string  `xml:"title"`
}

type text struct {
	Class  string  `xml:"class,attr"`
	X      float64 `xml:"x,attr"`
	Y      float64 `xml:"y,attr"`
	Size   float64 `xml:"font-size,attr"`
	Anchor string  `xml:"text-anchor,attr"`
	Weight string  `xml:"font-weight,attr"`
	Text   string  `xml:",chardata"`
}

func readSVG(t rapid.TB, svg string) picture {
	t.Helper()
	var p picture
	if err := xml.Unmarshal([]byte(svg), &p); err != nil {
		t.Fatalf("%v\n%s", err, svg)
	}
	return p
}

// bars are the boxes that stand for a time, by direction and mode: those that say what
// they are when a reader points at them.
func (p *picture) bars() map[string][]box {
	all := map[string][]box{}
	for _, b := range p.Boxes {
		if of, _, ok := strings.Cut(b.Title, ": "); ok {
			all[of] = append(all[of], b)
		}
	}
	return all
}

// legend maps the classes that the legend explains to what it calls them.
func (p *picture) legend() map[string]string {
	names := map[string]string{}
	for _, b := range p.Boxes {
		if b.Title != "" || b.W != 12 || b.H != 12 {
			continue
		}
		for _, t := range p.Texts {
			if t.X > b.X && t.X < b.X+b.W+10 && t.Y > b.Y && t.Y < b.Y+b.H {
				names[b.Class] = t.Text
			}
		}
	}
	return names
}

// ticks are the figures of the scale below the bars, from left to right.
func (p *picture) ticks() []text {
	bottom := 0.0
	for _, t := range p.Texts {
		bottom = max(bottom, t.Y)
	}
	var all []text
	for _, t := range p.Texts {
		if t.Y == bottom && regexp.MustCompile(`^[0-9.e+-]+$`).MatchString(t.Text) {
			all = append(all, t)
		}
	}
	return all
}

// ruler measures text in the fonts of the PNG.
type ruler struct{ regular, bold *opentype.Font }

func newRuler(t rapid.TB) ruler {
	t.Helper()
	regular, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	bold, err := opentype.Parse(gobold.TTF)
	if err != nil {
		t.Fatal(err)
	}
	return ruler{regular, bold}
}

// box returns the place that a text takes, from its ascenders to its baseline.
func (r ruler) box(t rapid.TB, s text) box {
	t.Helper()
	f := r.regular
	if s.Weight != "" {
		f = r.bold
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: scale * s.Size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		t.Fatal(err)
	}
	w := float64(font.MeasureString(face, s.Text)) / 64 / scale // 26.6 fixed point
	b := box{X: s.X, Y: s.Y - 0.72*s.Size, W: w, H: 0.72 * s.Size, Title: s.Text}
	switch s.Anchor {
	case "middle":
		b.X -= w / 2
	case "end":
		b.X -= w
	}
	return b
}

// overlaps reports whether two boxes have an area in common, beyond what rounding makes.
func (b box) overlaps(o box) bool {
	const slack = 0.05
	return b.X+b.W > o.X+slack && o.X+o.W > b.X+slack && b.Y+b.H > o.Y+slack && o.Y+o.H > b.Y+slack
}

// within reports whether a box lies in another.
func (b box) within(o box) bool {
	const slack = 0.05
	return b.X >= o.X-slack && b.Y >= o.Y-slack && b.X+b.W <= o.X+o.W+slack && b.Y+b.H <= o.Y+o.H+slack
}
