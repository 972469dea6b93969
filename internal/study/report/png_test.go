// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

func readPNG(t rapid.TB, r *bench.Result) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := report.PNG(&b, r); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// colour returns that of the pixel in the PNG at a place of the SVG.
func colour(img image.Image, x, y float64) string {
	r, g, b, _ := img.At(int(x*scale), int(y*scale)).RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// light maps the classes of a picture to their colours by day.
func (p *picture) light() map[string]string {
	colours := map[string]string{}
	for _, m := range regexp.MustCompile(`--([a-z]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(p.Style, -1) {
		if _, dark := colours["f-"+m[1]]; !dark { // the dark ones come after
			colours["f-"+m[1]] = m[2]
		}
	}
	return colours
}

// The PNG is the SVG by day: as large, and each box has its colour where it stands.
func TestPNGHasTheBoxesOfTheSVG(t *testing.T) {
	for seed := range 10 { // a hundred of them take seconds to compress
		r := rapid.Custom(anyResult).Example(seed)
		p := readSVG(t, render(t, report.SVG, r))
		img := readPNG(t, r)
		if size := img.Bounds().Size(); !near(float64(size.X), scale*p.Width, 1) || !near(float64(size.Y), scale*p.Height, 1) {
			t.Errorf("%v pixels for %v × %v", size, p.Width, p.Height)
		}
		colours := p.light()
		for _, b := range p.Boxes {
			if b.Title == "" && b.W != b.H || b.W < 2 {
				continue // the ground, lines that bars stand on, and slivers
			}
			for _, y := range []float64{b.Y + 1, b.Y + b.H - 1.5} { // text stands between
				for _, x := range []float64{b.X + 0.75, b.X + b.W - 1.25} {
					if got := colour(img, x, y); got != colours[b.Class] {
						t.Errorf("%s at %v, %v, want the %s of %+v", got, x, y, colours[b.Class], b)
					}
				}
			}
			if got := colour(img, b.X+b.W/2, b.Y+b.H+1); b.Title != "" && got == colours[b.Class] {
				t.Errorf("%+v goes on below", b)
			}
		}
		if got := colour(img, 1, 1); got != colours["f-paper"] {
			t.Errorf("the ground is %s", got)
		}
	}
}

// Each text that stands on the ground has its ink where the SVG's would be: from its
// start, around its middle or up to its end, in its own weight.
func TestPNGHasTheTextsOfTheSVG(t *testing.T) {
	fonts := newRuler(t)
	r := fixed()
	p := readSVG(t, render(t, report.SVG, r))
	img := readPNG(t, r)
	colours := p.light()
	seen := map[string]int{}
	for _, s := range p.Texts {
		place := fonts.box(t, s)
		around := box{X: place.X - 6, Y: place.Y - 1, W: place.W + 12, H: place.H + 6}
		if covered(&p, around) {
			continue
		}
		seen[s.Anchor+s.Weight]++
		left, right, ink := around.X+around.W, around.X, 0
		for y := around.Y; y < around.Y+around.H; y += 0.5 {
			for x := around.X; x < around.X+around.W; x += 0.5 {
				if c := colour(img, x, y); c != colours["f-paper"] {
					left, right = min(left, x), max(right, x)
					if c == colours[s.Class] {
						ink++
					}
				}
			}
		}
		if !near(left, place.X, 2) || !near(right, place.X+place.W, 2) || ink < 5 {
			t.Errorf("%q has its ink from %v to %v, want %v to %v; %d points of its colour", s.Text, left, right, place.X, place.X+place.W, ink)
		}
	}
	for _, kind := range []string{"", "600", "end", "middle"} {
		if seen[kind] < 2 {
			t.Errorf("%d texts of kind %q were looked at", seen[kind], kind)
		}
	}
}

// covered reports whether a box of the picture, other than the ground, reaches into b.
func covered(p *picture, b box) bool {
	for _, o := range p.Boxes {
		if o.Class != "f-paper" && o.overlaps(b) {
			return true
		}
	}
	return false
}
