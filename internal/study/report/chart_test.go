// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// wantTotal is the mean of a direction: the means of its parts, each for its share of
// the pings.
func wantTotal(d *bench.Direction) float64 {
	total := 0.0
	for _, row := range d.Parts() {
		share := 1.0
		if d.Whole.Count > 0 {
			share = float64(row.Count) / float64(d.Whole.Count)
		}
		total += row.Mean * share
	}
	return total
}

// longest is the largest of them.
func longest(r *bench.Result) float64 {
	ns := 0.0
	for i := range r.Modes {
		for j := range r.Modes[i].Directions {
			ns = max(ns, wantTotal(&r.Modes[i].Directions[j]))
		}
	}
	return ns
}

func near(a, b, slack float64) bool { return math.Abs(a-b) <= slack }

// The bar of each direction begins at the scale's zero, has no holes, and is as long as
// the scale says for the total that is written behind it.
func TestBarsAreToScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		p := readSVG(t, render(t, report.SVG, r))
		bars := p.bars()
		ticks := p.ticks()
		if len(ticks) == 0 || figure(t, ticks[0].Text) != 0 {
			t.Fatalf("no zero on the scale: %v", ticks)
		}
		longest, atEnd := longest(r), ticks[0].X
		for _, b := range p.Boxes {
			if b.Title != "" {
				atEnd = max(atEnd, b.X+b.W)
			}
		}
		for i := range r.Modes {
			for j := range r.Modes[i].Directions {
				d := &r.Modes[i].Directions[j]
				want := wantTotal(d)
				end := ticks[0].X
				for _, b := range bars[r.Modes[i].Name+", "+d.Name] {
					if !near(b.X, end, 0.02) || b.H != bars[r.Modes[i].Name+", "+d.Name][0].H {
						t.Errorf("a bar from %v with %+v", end, b)
					}
					end = b.X + b.W
				}
				if longest > 0 && !near((end-ticks[0].X)/(atEnd-ticks[0].X), want/longest, 0.001) {
					t.Errorf("%s of %v ns is %v long, the longest of %v ns is %v", d.Name, want, end-ticks[0].X, longest, atEnd-ticks[0].X)
				}
				if !slices.ContainsFunc(p.Texts, func(s text) bool {
					return s.Weight != "" && s.Text == fmt.Sprintf("%.1f", want/1000) && near(s.X, end+8, 0.03)
				}) {
					t.Errorf("no %.1f behind the bar that ends at %v", want/1000, end)
				}
			}
		}
	})
}

// What a bar says of itself is how long it is, and the legend explains its colour by the
// same word.
func TestBarsSayWhatTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := readSVG(t, render(t, report.SVG, anyResult(t)))
		legend := p.legend()
		var widest box
		for _, b := range p.Boxes {
			if b.Title != "" && b.W > widest.W {
				widest = b
			}
		}
		if widest.W == 0 {
			return
		}
		for _, bars := range p.bars() {
			for _, b := range bars {
				_, says, _ := strings.Cut(b.Title, ": ")
				f := strings.Fields(says)
				if len(f) != 3 || f[2] != "µs" || legend[b.Class] != f[0] || b.Class != "f-"+f[0] {
					t.Errorf("%q in %q; legend %v", b.Title, b.Class, legend)
					continue
				}
				perPixel := titled(t, widest) / widest.W
				if !near(titled(t, b), b.W*perPixel, 0.1+0.02*perPixel+titled(t, widest)*0.001) {
					t.Errorf("%q is %v wide, %q %v", b.Title, b.W, widest.Title, widest.W)
				}
			}
		}
	})
}

func titled(t rapid.TB, b box) float64 {
	f := strings.Fields(b.Title)
	us, err := strconv.ParseFloat(f[len(f)-2], 64)
	if err != nil {
		t.Fatal(err)
	}
	return us
}

// The figures of the scale rise in even steps of 1, 2 or 5, none is missing up to the
// longest bar, and they stand where the bars say.
func TestScale(t *testing.T) {
	for _, us := range []float64{0.1, 0.9, 1, 2.9, 3, 7, 10, 33, 99.9, 100, 648, 1e3, 4711, 1e5, 2e6} {
		r := oneBar(us)
		p := readSVG(t, render(t, report.SVG, r))
		ticks := p.ticks()
		if len(ticks) < 2 || len(ticks) > 12 {
			t.Errorf("%v µs: ticks %v", us, ticks)
			continue
		}
		bar := p.bars()["nat, request"][0]
		step := figure(t, ticks[1].Text)
		if digits := strings.Trim(ticks[1].Text, "0."); digits != "1" && digits != "2" && digits != "5" {
			t.Errorf("%v µs: the step is %s", us, ticks[1].Text)
		}
		for i, tick := range ticks {
			if got := figure(t, tick.Text); !near(got, float64(i)*step, step/1e6) || len(tick.Text) > len(ticks[1].Text)+8 {
				t.Errorf("%v µs: tick %d is %s, the step %v", us, i, tick.Text, step)
			}
			if want := bar.X + float64(i)*step*bar.W/us; !near(tick.X, want, 0.02) {
				t.Errorf("%v µs: %s stands at %v, want %v", us, tick.Text, tick.X, want)
			}
		}
		if last := figure(t, ticks[len(ticks)-1].Text); last > us*1.000001 || last+step < us*0.999999 {
			t.Errorf("%v µs: the scale ends at %v, the step is %v", us, last, step)
		}
		if between := ticks[1].X - ticks[0].X; between < 80 || between > 250 {
			t.Errorf("%v µs: %v pixels between the figures", us, between)
		}
		if !slices.ContainsFunc(p.Texts, func(s text) bool { return s.Text == "µs" && s.Y == ticks[0].Y && s.X > ticks[len(ticks)-1].X }) {
			t.Errorf("%v µs: the scale has no unit", us)
		}
	}
}

func figure(t rapid.TB, s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// oneBar is a study of one direction of one mode with one part.
func oneBar(us float64) *bench.Result {
	row := bench.Row{Kind: "link", Name: "link", Figures: bench.Figures{Count: 1, Mean: us * 1000}}
	return &bench.Result{Version: bench.Version, Modes: []bench.Mode{{Name: "nat", Directions: []bench.Direction{{Name: bench.Request, Whole: row, Rows: []bench.Row{row}}}}}}
}

// A part that only some of the pings have counts for its share, and what is inside of a
// part is not counted again.
func TestSharesAndInnerRows(t *testing.T) {
	row := func(kind string, depth, count int, mean float64) bench.Row {
		return bench.Row{Kind: kind, Depth: depth, Figures: bench.Figures{Count: count, Mean: mean}}
	}
	r := oneBar(1)
	d := &r.Modes[0].Directions[0]
	d.Whole = row("", 0, 10, 0)
	d.Rows = []bench.Row{
		row("link", 0, 10, 4000), row("link", 0, 5, 2000), row("device", 0, 10, 7000), row("bridge", 1, 10, 7000), row("driver", 0, 1, 30_000),
	}
	p := readSVG(t, render(t, report.SVG, r))
	var says []string
	for _, b := range p.bars()["nat, request"] {
		says = append(says, strings.TrimPrefix(b.Title, "nat, request: "))
	}
	want := []string{"link 5.0 µs", "bridge 7.0 µs", "driver 3.0 µs"}
	if !slices.Equal(says, want) {
		t.Errorf("bars %q, want %q", says, want)
	}
	// What lies between the directions has no whole: all of it counts.
	d.Whole = bench.Row{}
	p = readSVG(t, render(t, report.SVG, r))
	if got := p.bars()["nat, request"][0].Title; !strings.HasSuffix(got, "link 6.0 µs") {
		t.Errorf("without a whole %q", got)
	}
}
