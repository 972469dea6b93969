// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func draw(t rapid.TB, tr *trace.Trace, o waterfall.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := waterfall.Write(&b, tr, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// odd has names that are hard to keep in columns, and one that must not reach the
// terminal as it is.
func odd() *trace.Trace {
	tr := tracetest.NoReply(7)
	ns := &trace.NetNS{Inode: 1, Name: "客户机-ns"}
	d := &trace.Device{NetNS: ns, Index: 1, Name: "ge\u0301ne\x1b[31m0"}
	s := &tr.Spans[2]
	s.NetNS, s.Device = ns, d
	tr.Local = true
	return tr
}

func TestGolden(t *testing.T) {
	duplicates := tracetest.Beyond(3)
	duplicates.Duplicates = 2
	for name, tt := range map[string]struct {
		trace   *trace.Trace
		options waterfall.Options
	}{
		"complete":       {tracetest.Complete(17), waterfall.Options{}},
		"complete-color": {tracetest.Complete(17), waterfall.Options{Color: true}},
		"complete-ascii": {tracetest.Complete(17), waterfall.Options{ASCII: true}},
		"complete-140":   {tracetest.Complete(17), waterfall.Options{Width: 140}},
		"complete-60":    {tracetest.Complete(17), waterfall.Options{Width: 60}},
		"beyond":         {duplicates, waterfall.Options{}},
		"dropped":        {tracetest.Dropped(4), waterfall.Options{}},
		"dropped-color":  {tracetest.Dropped(4), waterfall.Options{Color: true}},
		"no-reply":       {tracetest.NoReply(5), waterfall.Options{}},
		"odd-names":      {odd(), waterfall.Options{}},
		"expired":        {tracetest.Expired(8), waterfall.Options{}},
		"unreachable":    {tracetest.Unreachable(9), waterfall.Options{Color: true}},
		"partial":        {tracetest.Partial(10), waterfall.Options{}},
		"two-replies":    {tracetest.Twice(11), waterfall.Options{}},
		"ipv6":           {tracetest.Tunnelled(6), waterfall.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := draw(t, tt.trace, tt.options)
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLinesFit: at any width no line is longer, and every span has a bar.
func TestLinesFit(t *testing.T) {
	for _, tr := range append(tracetest.All(), odd()) {
		for width := 60; width <= 200; width++ {
			lines := strings.Split(draw(t, tr, waterfall.Options{Width: width}), "\n")
			for _, line := range lines[4:] {
				if n := text.Width(line); n > width {
					t.Fatalf("%d columns in a drawing for %d: %q", n, width, line)
				}
			}
			bars := 0
			for _, line := range lines {
				if strings.ContainsAny(line, "▏▎▍▌▋▊▉█▐▕") {
					bars++
				}
			}
			if bars != len(tr.Spans) {
				t.Fatalf("%d bars for %d spans at width %d:\n%s", bars, len(tr.Spans), width, strings.Join(lines, "\n"))
			}
		}
	}
}

// TestPipe: without colour there is nothing in the text that only a terminal
// understands, and the names' own escapes do not come through.
func TestPipe(t *testing.T) {
	for _, tr := range append(tracetest.All(), odd()) {
		if s := draw(t, tr, waterfall.Options{}); strings.ContainsAny(s, "\x1b\r\t") || strings.Contains(s, " \n") {
			t.Errorf("escapes, tabs or blanks at the end of a line in\n%q", s)
		}
		if s := draw(t, tr, waterfall.Options{ASCII: true}); strings.ContainsFunc(s, func(r rune) bool { return r > 126 }) {
			t.Errorf("more than ASCII in\n%s", s)
		}
	}
}

// TestColorOnlyPaints: without its escapes a coloured drawing is the plain one.
func TestColorOnlyPaints(t *testing.T) {
	for _, tr := range tracetest.All() {
		painted := draw(t, tr, waterfall.Options{Color: true})
		plain := draw(t, tr, waterfall.Options{})
		if diff := cmp.Diff(plain, unpaint(painted)); diff != "" {
			t.Errorf("(-plain +painted):\n%s", diff)
		}
		if painted == plain {
			t.Error("no colour")
		}
	}
}

func unpaint(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}
