// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// hostile has names that would break out of HTML, SVG and tables, as the kernel lets
// network devices be called.
func hostile() *bench.Result {
	const name = `</style><script>alert("1")</script>|&'`
	r := fixed()
	m := &r.Modes[0]
	m.Name, m.Summary = name, name
	m.Slowest.Spans[2].Name, m.Slowest.Spans[2].Role = name, name
	m.Directions[0].Rows[0].Name = name
	r.Tool.Command = name
	return r
}

func page(t *testing.T, r *bench.Result) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The page needs nothing from elsewhere and runs nothing, whatever devices are called.
func TestPageIsSelfContained(t *testing.T) {
	for _, r := range []*bench.Result{fixed(), hostile()} {
		doc, err := html.Parse(bytes.NewReader(page(t, r)))
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		var links []string
		for n := range doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "base", "form"}, n.Data) {
				t.Errorf("there is a <%s>", n.Data)
			}
			for _, a := range n.Attr {
				switch {
				case a.Key == "id":
					ids[a.Val] = true
				case a.Key == "href":
					links = append(links, a.Val)
				case a.Key == "src", strings.HasPrefix(a.Key, "on"):
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "style" && regexp.MustCompile(`url\(|@import`).MatchString(n.FirstChild.Data) {
				t.Error("the style sheet loads something")
			}
		}
		for _, l := range links {
			if !strings.HasPrefix(l, "#") {
				t.Errorf("a link leads to %s", l)
			}
		}
		if r.Modes[0].Name == "bridge-namespaces" && (len(links) == 0 || !ids["bridge-namespaces"] || !ids["studies"]) {
			t.Errorf("links %v to %v", links, ids)
		}
	}
}

// The picture alone is XML and has no script either.
func TestSVGIsXML(t *testing.T) {
	var b bytes.Buffer
	if err := report.SVG(&b, hostile()); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&b)
	elements := map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	if elements["script"] > 0 || elements["rect"] < 10 || elements["text"] < 10 {
		t.Errorf("elements %v", elements)
	}
}

func TestMarkdownKeepsItsColumns(t *testing.T) {
	var b bytes.Buffer
	if err := report.Markdown(&b, hostile()); err != nil {
		t.Fatal(err)
	}
	bars := regexp.MustCompile(`(^|[^\\])\|`)
	columns := 0
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := len(bars.FindAllString(line, -1))
		if columns != 0 && n != columns {
			t.Errorf("%d columns instead of %d: %s", n, columns, line)
		}
		columns = n
	}
	if strings.Contains(b.String(), "<script>") {
		t.Error("a name is markup")
	}
}

// The PNG shows bars in the colours of the SVG, and text.
func TestPNG(t *testing.T) {
	var b, svg bytes.Buffer
	if err := report.PNG(&b, fixed()); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.SVG(&svg, fixed()); err != nil {
		t.Fatal(err)
	}
	seen := map[[3]uint32]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			seen[[3]uint32{r >> 8, g >> 8, b >> 8}]++
		}
	}
	for kind, rgb := range map[string][3]uint32{
		"hypervisor": {0xb3, 0x40, 0x0a}, "tunnel": {0x7a, 0x3f, 0xa0}, "text": {0x1c, 0x21, 0x28}, "paper": {0xff, 0xff, 0xff},
	} {
		if seen[rgb] < 100 {
			t.Errorf("%d pixels of the colour of %s", seen[rgb], kind)
		}
	}
	width := regexp.MustCompile(`width="(\d+)" height`).FindSubmatch(svg.Bytes())
	if len(width) != 2 || string(width[1]) != "960" || img.Bounds().Dx() != 2*960 {
		t.Errorf("SVG %s wide, PNG %d", width, img.Bounds().Dx())
	}
}
