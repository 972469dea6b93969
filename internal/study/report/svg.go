// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// SVG writes the chart as a file of its own, which follows the viewer's light or dark
// scheme.
func SVG(w io.Writer, r *bench.Result) error {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	writeSVG(&b, chart(r), true)
	_, err := w.Write(b.Bytes())
	return err
}

// writeSVG writes the element. Inside a page, alone is not set: the page has the
// colours.
func writeSVG(b *bytes.Buffer, s scene, alone bool) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 %s %s" role="img"`, px(s.width), px(s.height))
	if alone {
		fmt.Fprintf(b, ` width="%s" height="%s"`, px(s.width), px(s.height))
	}
	b.WriteString(">\n")
	if alone {
		fmt.Fprintf(b, "<style>\n%ssvg { font-family: %s; background: var(--paper) }\n%s</style>\n", colours(":root"), fontFamily, classes())
		fmt.Fprintf(b, `<rect class="f-paper" width="%s" height="%s"/>`+"\n", px(s.width), px(s.height))
	}
	for _, r := range s.rects {
		fmt.Fprintf(b, `<rect class="f-%s" x="%s" y="%s" width="%s" height="%s"`, r.ink, px(r.x), px(r.y), px(r.w), px(r.h))
		if r.title == "" {
			b.WriteString("/>\n")
			continue
		}
		fmt.Fprintf(b, "><title>%s</title></rect>\n", escapeXML(r.title))
	}
	for _, t := range s.texts {
		fmt.Fprintf(b, `<text class="f-%s" x="%s" y="%s" font-size="%s"`, t.ink, px(t.x), px(t.y), px(t.size))
		if t.anchor != "" && t.anchor != start {
			fmt.Fprintf(b, ` text-anchor="%s"`, t.anchor)
		}
		if t.bold {
			b.WriteString(` font-weight="600"`)
		}
		fmt.Fprintf(b, ">%s</text>\n", escapeXML(t.text))
	}
	b.WriteString("</svg>\n")
}

const fontFamily = `system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`

// px writes a length with at most two digits.
func px(v float64) string { return trimZeros(fmt.Sprintf("%.2f", v)) }

func trimZeros(s string) string {
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	return s
}

func escapeXML(s string) string {
	var b bytes.Buffer
	// A buffer takes everything.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// colours are the CSS variables of both schemes.
func colours(selector string) string {
	var light, dark bytes.Buffer
	all := shades()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&light, "  --%s: %s;\n", name, all[name].light)
		fmt.Fprintf(&dark, "  --%s: %s;\n", name, all[name].dark)
	}
	return fmt.Sprintf("%s {\n%s}\n@media (prefers-color-scheme: dark) {\n%s {\n%s}\n}\n", selector, &light, selector, &dark)
}

// classes fill shapes and boxes with an ink.
func classes() string {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(shades())) {
		fmt.Fprintf(&b, ".f-%s { fill: var(--%s); background: var(--%s) }\n", name, name, name)
	}
	return b.String()
}
