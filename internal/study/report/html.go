// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

//go:embed report.html.tmpl
var pageTemplate string

//go:embed style.css
var styleSheet string

// page is what the template shows.
type page struct {
	Style    template.CSS
	Chart    template.HTML
	Headline []Fact
	Facts    []Fact
	Troubles []string
	Overview Table
	Modes    []pageMode
	// FastChart is empty if there is no fast path.
	FastChart template.HTML
	Studies   []Table
}

// pageMode is the part of the page about one mode.
type pageMode struct {
	Name, Summary string
	Outcome       string
	Tables        []Table
	Falls         []fall
}

// HTML writes the report as one page: no script, nothing from elsewhere, light or dark
// as the reader's system is.
func HTML(w io.Writer, r *bench.Result) error {
	// The functions are of the template, which has all names from the result escaped.
	t, err := template.New("report").Funcs(template.FuncMap{"indent": indent, "span": spanColumn}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("template: %w", err)
	}
	p := page{
		//nolint:gosec // both are made of constants
		Style:    template.CSS(colours(":root") + classes() + styleSheet),
		Headline: headline(r), Facts: facts(r), Troubles: r.Troubles(),
		Studies: studies(r),
	}
	if len(r.Modes) > 0 {
		p.Overview = overview(r)
		var svg bytes.Buffer
		writeSVG(&svg, chart(r), false)
		p.Chart = template.HTML(svg.String()) //nolint:gosec // writeSVG escapes all text
	}
	if len(r.Fast) > 0 {
		var svg bytes.Buffer
		writeSVG(&svg, fastChart(r), false)
		p.FastChart = template.HTML(svg.String()) //nolint:gosec // writeSVG escapes all text
	}
	for i := range r.Modes {
		m := &r.Modes[i]
		p.Modes = append(p.Modes, pageMode{
			Name: m.Name, Summary: m.Summary, Tables: withoutMode(modeTables(m), m), Falls: falls(m),
			Outcome: fmt.Sprintf("%d pings to %s, %d traced completely, %d events, %d lost",
				m.Counts.Sent, m.Target, m.Counts.Complete, m.Counts.Events, m.Counts.EventsLost) + withoutNetfilter(m.Counts),
		})
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// withoutNetfilter says why a hypervisor's netfilter is not timed.
func withoutNetfilter(c bench.Counts) string {
	if c.WithoutNetfilter == "" {
		return ""
	}
	return "; netfilter's chains not timed: " + c.WithoutNetfilter
}

// withoutMode shortens the titles of tables that stand below the mode's own.
func withoutMode(tables []Table, m *bench.Mode) []Table {
	for i := range tables {
		tables[i].Title = strings.TrimPrefix(tables[i].Title, m.Name+": ")
	}
	return tables
}

// headline are the figures at the top of the page. A mode of which no ping came back is
// neither the fastest nor the slowest.
func headline(r *bench.Result) []Fact {
	pings, complete := 0, 0
	var fastest, slowest *bench.Mode
	for i := range r.Modes {
		m := &r.Modes[i]
		pings, complete = pings+m.Counts.Sent, complete+m.Counts.Complete
		if m.Ping.Count == 0 {
			continue
		}
		if fastest == nil || m.Ping.P50 < fastest.Ping.P50 {
			fastest = m
		}
		if slowest == nil || m.Ping.P50 > slowest.Ping.P50 {
			slowest = m
		}
	}
	if len(r.Modes) == 0 {
		return nil
	}
	facts := []Fact{{"modes", strconv.Itoa(len(r.Modes))}, {"pings traced completely", fmt.Sprintf("%d of %d", complete, pings)}}
	if len(r.Modes) == 1 {
		facts[0] = Fact{"mode", r.Modes[0].Name}
	}
	switch {
	case fastest == nil:
		return facts
	case len(r.Modes) == 1:
		return append(
			facts,
			Fact{"ping, median", microsOf(fastest.Ping.P50) + " µs"},
			Fact{"ping, 99th percentile", microsOf(fastest.Ping.P99) + " µs"},
		)
	}
	return append(
		facts,
		Fact{"fastest, median ping: " + fastest.Name, microsOf(fastest.Ping.P50) + " µs"},
		Fact{"slowest, median ping: " + slowest.Name, microsOf(slowest.Ping.P50) + " µs"},
	)
}

// indent is the style of a cell that stands so deep.
func indent(depth int) template.CSS {
	return template.CSS(fmt.Sprintf("padding-left: %.2fem", 0.41+1.2*float64(depth))) //nolint:gosec // a number
}
