// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// bounded keeps a study's means to what a ping can take: nobody waits longer for it.
func bounded(r *bench.Result) *bench.Result {
	for i := range r.Modes {
		for j := range r.Modes[i].Directions {
			d := &r.Modes[i].Directions[j]
			for k := range d.Rows {
				row := &d.Rows[k]
				row.Mean = min(row.Mean, float64(2*time.Second)/float64(len(d.Rows)))
				row.Count = min(row.Count, max(d.Whole.Count, 1))
			}
		}
	}
	return r
}

// Nothing in the chart reaches out of it, and no text stands on another: not in the
// legend with all that it can have, nor on the scale, nor in short bars.
func TestNothingCollides(t *testing.T) {
	fonts := newRuler(t)
	rapid.Check(t, func(t *rapid.T) {
		r := bounded(anyResult(t))
		p := readSVG(t, render(t, report.SVG, r))
		frame := box{W: p.Width, H: p.Height}
		if p.ViewBox != fmt.Sprintf("0 0 %v %v", p.Width, p.Height) {
			t.Errorf("the view box is %s, the picture %v × %v", p.ViewBox, p.Width, p.Height)
		}
		for _, b := range p.Boxes {
			if b.W < 0 || b.H < 0 || !b.within(frame) {
				t.Errorf("%+v reaches out of %+v", b, frame)
			}
		}
		var placed []box
		for _, s := range p.Texts {
			b := fonts.box(t, s)
			if !b.within(frame) {
				t.Errorf("%q at %+v reaches out of %+v", s.Text, b, frame)
			}
			for _, o := range placed {
				if b.overlaps(o) {
					t.Errorf("%q stands on %q: %+v, %+v", b.Title, o.Title, b, o)
				}
			}
			placed = append(placed, b)
		}
	})
}

// The figure in a part of a bar is that of its title and lies in it; parts that are too
// short have none.
func TestFiguresInBars(t *testing.T) {
	fonts := newRuler(t)
	rapid.Check(t, func(t *rapid.T) {
		p := readSVG(t, render(t, report.SVG, bounded(anyResult(t))))
		for _, s := range p.Texts {
			if s.Class != "f-on" {
				continue
			}
			place := fonts.box(t, s)
			if !slices.ContainsFunc(p.Boxes, func(b box) bool {
				return strings.HasSuffix(b.Title, " "+s.Text+" µs") && place.within(b) && near(b.X+b.W/2, s.X, 0.02)
			}) {
				t.Errorf("%q at %+v lies in no part that it is of", s.Text, place)
			}
		}
		for _, b := range p.Boxes {
			if b.Title == "" || b.W < 100 {
				continue
			}
			if !slices.ContainsFunc(p.Texts, func(s text) bool { return s.Class == "f-on" && fonts.box(t, s).within(b) }) {
				t.Errorf("%q is %v wide and has no figure", b.Title, b.W)
			}
		}
	})
}

// Each mode's bars stand together, in the order of the study, below its name.
func TestModesStandInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		p := readSVG(t, render(t, report.SVG, r))
		var names, directions []string
		var lastY float64
		for _, s := range p.Texts {
			for _, m := range r.Modes {
				if s.Text == m.Name && s.X == 16 && s.Weight != "" {
					names = append(names, s.Text)
				}
			}
			if s.Anchor == "end" && s.Text != "µs" {
				directions = append(directions, s.Text)
				if s.Y <= lastY {
					t.Errorf("%s stands at %v, above the one before at %v", s.Text, s.Y, lastY)
				}
				lastY = s.Y
			}
		}
		var wantNames, wantDirections []string
		for _, m := range r.Modes {
			wantNames = append(wantNames, m.Name)
			for _, d := range m.Directions {
				wantDirections = append(wantDirections, d.Name)
			}
		}
		if !slices.Equal(names, wantNames) || !slices.Equal(directions, wantDirections) {
			t.Errorf("modes %v, want %v; directions %v, want %v", names, wantNames, directions, wantDirections)
		}
	})
}
