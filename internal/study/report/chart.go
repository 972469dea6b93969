// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// The chart's measures.
const (
	chartWidth   = 960.0
	chartLeft    = 226.0 // of the bars
	chartRight   = 70.0  // for the totals
	chartMargin  = 16.0
	barHeight    = 24.0
	barGap       = 5.0
	groupGap     = 18.0
	swatch       = 12.0
	digitWidth   = 7.0 // about, at 12 pixels
	legendHeight = 24.0
	pixelsATick  = 90.0
)

// chart compares the modes: a bar for each direction, made of the means of its parts by
// who is answerable for them. Means, unlike medians, sum to the mean of the whole.
func chart(r *bench.Result) scene {
	c := newCharter()
	longest := 0.0
	for i := range r.Modes {
		for j := range r.Modes[i].Directions {
			d := &r.Modes[i].Directions[j]
			longest = max(longest, total(d))
			for cat := range sums(d) {
				c.used = append(c.used, cat)
			}
		}
	}
	top := c.begin("Where a ping spends its time", "Mean time by kind of span, in microseconds", longest)
	for i := range r.Modes {
		c.mode(&r.Modes[i])
	}
	c.axis(top, longest)
	c.height = c.y + chartMargin
	return c.scene
}

// charter is a chart in the making.
type charter struct {
	scene
	y     float64
	scale float64 // pixels a nanosecond
	used  []category
}

func newCharter() charter { return charter{scene: scene{width: chartWidth}, y: chartMargin} }

// begin writes the titles and the legend for bars of at most so many nanoseconds. It returns where the bars
// begin.
func (c *charter) begin(title, subtitle string, longest float64) (top float64) {
	c.scale = (chartWidth - chartLeft - chartRight - chartMargin) / max(longest, 1)
	c.y += 18
	c.text(label{x: chartMargin, y: c.y, text: title, size: 17, bold: true, ink: inkText})
	c.y += 20
	c.text(label{x: chartMargin, y: c.y, text: subtitle, size: 13, ink: inkFaint})
	c.y += 14
	c.legend()
	return c.y
}

// sums adds up the means of a direction's parts. A part that not every ping has counts
// for its share.
func sums(d *bench.Direction) map[category]float64 {
	out := map[category]float64{}
	kinds := categories(d)
	for i, row := range d.Rows {
		if row.Depth == 0 {
			out[kinds[i]] += row.Mean * share(d, row)
		}
	}
	return out
}

func share(d *bench.Direction, row bench.Row) float64 {
	if d.Whole.Count == 0 {
		return 1
	}
	return float64(row.Count) / float64(d.Whole.Count)
}

func total(d *bench.Direction) (ns float64) {
	for _, v := range sums(d) {
		ns += v
	}
	return ns
}

func (c *charter) text(l label) { c.texts = append(c.texts, l) }

// legend names the categories that there are.
func (c *charter) legend() {
	x := chartMargin
	for _, cat := range allCategories {
		if !slices.Contains(c.used, cat) {
			continue
		}
		c.rects = append(c.rects, rect{x: x, y: c.y, w: swatch, h: swatch, ink: ink(cat)})
		c.text(label{x: x + swatch + 6, y: c.y + swatch - 1.5, text: string(cat), size: 13, ink: inkText})
		x += swatch + 6 + digitWidth*float64(len(cat)) + 22
	}
	c.y += legendHeight + groupGap/2
}

// mode draws the bars of a mode.
func (c *charter) mode(m *bench.Mode) {
	c.text(label{x: chartMargin, y: c.y + barHeight*0.68, text: m.Name, size: 13, bold: true, ink: inkText})
	for i := range m.Directions {
		c.bar(m, &m.Directions[i])
	}
	c.y += groupGap - barGap
}

func (c *charter) bar(m *bench.Mode, d *bench.Direction) {
	parts := sums(d)
	var pieces []piece
	for _, cat := range allCategories {
		if parts[cat] > 0 {
			pieces = append(pieces, piece{cat, string(cat), parts[cat]})
		}
	}
	c.pieces(m.Name+", "+d.Name, d.Name, pieces)
}

// piece is a part of a bar.
type piece struct {
	category
	name string
	ns   float64
}

// pieces draws a bar, with its name before it and its length behind it.
func (c *charter) pieces(title, name string, parts []piece) {
	c.text(label{x: chartLeft - 10, y: c.y + barHeight*0.68, text: name, size: 13, anchor: end, ink: inkFaint})
	x, sum := chartLeft, 0.0
	for _, p := range parts {
		w := p.ns * c.scale
		us := strconv.FormatFloat(p.ns/1000, 'f', 1, 64)
		c.rects = append(c.rects, rect{
			x: x, y: c.y, w: w, h: barHeight, ink: ink(p.category),
			title: fmt.Sprintf("%s: %s %s µs", title, p.name, us),
		})
		if w > digitWidth*float64(len(us))+8 {
			c.text(label{x: x + w/2, y: c.y + barHeight*0.68, text: us, size: 12, anchor: middle, ink: inkOn})
		}
		x += w
		sum += p.ns
	}
	c.text(label{
		x: x + 8, y: c.y + barHeight*0.68, text: strconv.FormatFloat(sum/1000, 'f', 1, 64), size: 13, bold: true, ink: inkText,
	})
	c.y += barHeight + barGap
}

// axis draws the scale below the bars and its lines behind them.
func (c *charter) axis(top, longest float64) {
	step := niceStep(longest / 1000 * pixelsATick / (chartWidth - chartLeft - chartRight))
	bottom := c.y - groupGap/2
	digits := max(0, -int(math.Floor(math.Log10(step))))
	var lines []rect
	for i := 0; float64(i)*step*1000 <= longest; i++ {
		us := float64(i) * step
		x := chartLeft + us*1000*c.scale
		lines = append(lines, rect{x: x - 0.5, y: top - groupGap/2, w: 1, h: bottom - top + groupGap/2, ink: inkRule})
		c.text(label{x: x, y: bottom + 18, text: strconv.FormatFloat(us, 'f', digits, 64), size: 12, anchor: middle, ink: inkFaint})
	}
	c.text(label{x: chartWidth - chartMargin, y: bottom + 18, text: "µs", size: 12, anchor: end, ink: inkFaint})
	c.rects = append(lines, c.rects...)
	c.y = bottom + 18
}

// niceStep rounds a step up to 1, 2 or 5 times a power of ten.
func niceStep(least float64) float64 {
	if least <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= least {
			return n * power
		}
	}
	return 10 * power
}
