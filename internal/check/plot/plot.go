// SPDX-License-Identifier: Apache-2.0

// Package plot draws how quantities went over time, one chart below the other, as an SVG file.
package plot

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Line is one quantity.
type Line struct {
	Name string
	// Unit is written after the numbers of the axis.
	Unit   string
	Values []float64
}

// Chart is lines with one axis of values, which begins at 0.
type Chart struct {
	Title string
	Lines []Line
}

// Page is charts with one axis of time.
type Page struct {
	Title string
	// Times are those of all values, from the beginning.
	Times  []time.Duration
	Charts []Chart
	// Marks are spans of time with a name, which are shaded.
	Marks []Mark
}

// Mark is a span of time.
type Mark struct {
	Name     string
	From, To time.Duration
}

// Where things are, in pixels.
const (
	width, left, right = 900, 80, 20
	top, high, gap     = 50, 150, 50
)

// inks are the colours of the lines, which may be told apart by most people.
var inks = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// SVG writes the page.
func (p *Page) SVG(w io.Writer) error {
	var b strings.Builder
	height := top + len(p.Charts)*(high+gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">`+"\n", width, height)
	b.WriteString(`<style>text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600}.g{stroke:#ddd}.m{fill:#f3e9d2}</style>` + "\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	p.text(&b, left, 20, "t", p.Title)
	for i := range p.Charts {
		p.chart(&b, &p.Charts[i], top+i*(high+gap))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// end is when the last values are from, at least a moment after the beginning.
func (p *Page) end() time.Duration {
	end := time.Duration(1)
	for _, t := range p.Times {
		end = max(end, t)
	}
	return end
}

func (p *Page) x(t time.Duration) float64 {
	return left + float64(width-left-right)*min(1, float64(t)/float64(p.end()))
}

func (p *Page) chart(b *strings.Builder, c *Chart, at int) {
	most, unit := 0.0, ""
	for _, l := range c.Lines {
		unit = l.Unit
		for _, v := range l.Values {
			most = max(most, v)
		}
	}
	step := step(most)
	most = max(step, math.Ceil(most/step)*step)
	bottom := float64(at + high)
	y := func(v float64) float64 { return bottom - high*v/most }
	for i, m := range p.Marks {
		fmt.Fprintf(b, `<rect class="m" x="%.1f" y="%d" width="%.1f" height="%d"><title>%s</title></rect>`+"\n", p.x(m.From), at, p.x(m.To)-p.x(m.From), high, escape(m.Name))
		p.text(b, p.x(m.From)+2, float64(at+12+i%3*12), "", m.Name)
	}
	for v := 0.0; v <= most*1.001; v += step {
		fmt.Fprintf(b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", left, width-right, y(v), y(v))
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-6, y(v)+4, number(v, unit))
	}
	for i := range 7 {
		t := p.end() * time.Duration(i) / 6
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", p.x(t), bottom+16, t.Round(time.Second))
	}
	p.text(b, left, float64(at-6), "t", c.Title)
	for i, l := range c.Lines {
		ink := inks[i%len(inks)]
		var points strings.Builder
		for j, v := range l.Values[:min(len(l.Values), len(p.Times))] {
			fmt.Fprintf(&points, "%.1f,%.1f ", p.x(p.Times[j]), y(v))
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`+"\n", ink, strings.TrimSpace(points.String()))
		if len(c.Lines) > 1 {
			fmt.Fprintf(b, `<text x="%d" y="%d" style="fill:%s">%s</text>`+"\n", left+220+i*150, at-6, ink, escape(l.Name))
		}
	}
}

func (p *Page) text(b *strings.Builder, x, y float64, class, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" class="%s">%s</text>`+"\n", x, y, class, escape(text))
}

// step is a round number, of which three to eight are as much as the value.
func step(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	switch {
	case most/power < 1.5:
		return power / 4
	case most/power < 3:
		return power / 2
	case most/power < 8:
		return power
	}
	return 2 * power
}

// number writes a value of an axis.
func number(v float64, unit string) string {
	text := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
	for _, big := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= 10*big.of || v >= big.of && math.Mod(v, big.of) == 0 {
			text = strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.1f", v/big.of), "0"), ".") + big.name
			break
		}
	}
	if unit == "" {
		return text
	}
	return text + " " + unit
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
