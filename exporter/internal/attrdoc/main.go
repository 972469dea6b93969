// SPDX-License-Identifier: Apache-2.0

// Command attrdoc writes docs/attributes.md from trace.Attributes, so that the page
// cannot say anything that the code does not. Run it with go generate.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: attrdoc FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(page()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "attrdoc:", err)
		os.Exit(1)
	}
}

const head = `<!-- Made by go generate ./exporter from correlate/trace/attributes.go. Do not edit. -->
# Attributes

The attributes of dwell's traces. Names marked *semconv* are defined by OpenTelemetry's
[semantic conventions](https://opentelemetry.io/docs/specs/semconv/); the others begin
with ` + "`dwell.`" + `. Units are [UCUM](https://ucum.org) codes.
`

// sections in the order of the page.
var sections = []struct{ on, title, text string }{
	{trace.OnResource, "Resource", "There is one resource per network namespace; each is a service."},
	{trace.OnRoot, "Root span", "The root span, which represents the whole ping, is named `ping`. Which one it is, its attributes say: the addresses, and these, in addition to those of every span."},
	{trace.OnSpan, "Span", "Spans have these attributes where they apply."},
	{trace.OnEvent, "Span event", "Span events are named `" + trace.EventDrop + "`, `" + trace.EventNAT + "` or `" + trace.EventCopy + "`."},
}

func page() string {
	var b strings.Builder
	b.WriteString(head)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n%s\n\n| name | type | unit | meaning | |\n|---|---|---|---|---|\n", s.title, s.text)
		for _, a := range trace.Attributes {
			if a.On == s.on {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", a.Key, a.Type, a.Unit, cell(a.Meaning), origin(a))
			}
		}
	}
	return b.String()
}

// cell makes text fit into a table's cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func origin(a trace.Attribute) string {
	if a.Semconv {
		return "*semconv*"
	}
	return ""
}
