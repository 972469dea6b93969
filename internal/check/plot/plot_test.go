// SPDX-License-Identifier: Apache-2.0

package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is drawn is well-formed, and every value has a point within the picture.
func TestSVG(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "values")
		p := Page{Title: `a < "b" & c`, Marks: []Mark{{"down", time.Second, 2 * time.Second}}}
		line := Line{Name: "RSS", Unit: "MiB"}
		for i := range n {
			p.Times = append(p.Times, time.Duration(i)*time.Second)
			line.Values = append(line.Values, rapid.Float64Range(0, 1e12).Draw(t, "value"))
		}
		p.Charts = []Chart{{"memory", []Line{line, {Name: "heap", Values: line.Values}}}, {Title: "nothing"}}
		var b bytes.Buffer
		if err := p.SVG(&b); err != nil {
			t.Fatal(err)
		}
		points := 0
		for d := xml.NewDecoder(&b); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
				for _, a := range e.Attr {
					if a.Name.Local == "points" {
						points += len(strings.Fields(a.Value))
						if strings.Contains(a.Value, "-") || strings.Contains(a.Value, "N") || strings.Contains(a.Value, "Inf") {
							t.Errorf("points %s", a.Value)
						}
					}
				}
			}
		}
		if points != 2*n {
			t.Errorf("%d points of %d values, twice", points, n)
		}
	})
}

// An axis has a few round numbers.
func TestStep(t *testing.T) {
	for v := 1e-3; v < 1e12; v *= 1.07 {
		if n := math.Ceil(v / step(v)); n < 2 || n > 8 {
			t.Errorf("%v steps of %v to %v", n, step(v), v)
		}
	}
	for v, want := range map[float64]string{0: "0 B", 0.25: "0.25 B", 150: "150 B", 2000: "2k B", 1500: "1500 B", 12500: "12.5k B", 3e6: "3M B"} {
		if got := number(v, "B"); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
