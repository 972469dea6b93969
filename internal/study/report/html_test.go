// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"strings"

	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

// readPage parses a page.
func readPage(t rapid.TB, text string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// elements returns those of a name below n, in the order of the page.
func elements(n *html.Node, name string) []*html.Node {
	var all []*html.Node
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.Data == name {
			all = append(all, c)
		}
	}
	return all
}

// inner returns the text in an element.
func inner(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// classed returns the elements of a class below n.
func classed(n *html.Node, name, class string) []*html.Node {
	var all []*html.Node
	for _, e := range elements(n, name) {
		for c := range strings.FieldsSeq(attribute(e, "class")) {
			if c == class {
				all = append(all, e)
			}
		}
	}
	return all
}

// readHTML reads the tables of a page with the titles above them.
func readHTML(t rapid.TB, text string) []grid {
	t.Helper()
	doc := readPage(t, text)
	titles := elements(doc, "h3")
	tables := elements(doc, "table")
	if len(titles) != len(tables) {
		t.Fatalf("%d tables below %d titles", len(tables), len(titles))
	}
	var all []grid
	for i, table := range tables {
		g := grid{Title: inner(titles[i])}
		for _, row := range elements(table, "tr") {
			var cells []string
			for c := range row.ChildNodes() {
				if c.Type == html.ElementNode {
					cells = append(cells, inner(c))
				}
			}
			g.Rows = append(g.Rows, cells)
		}
		all = append(all, g)
	}
	return all
}
