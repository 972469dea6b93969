// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// painted are the pieces of a line that have a colour, with its number before them.
func painted(line string) []string {
	var pieces []string
	for _, m := range regexp.MustCompile("\x1b\\[([0-9;]+)m([^\x1b]*)\x1b\\[0m").FindAllStringSubmatch(line, -1) {
		pieces = append(pieces, m[1]+" "+m[2])
	}
	return pieces
}

// Whatever names and events there are: colour only paints; without it no escape is in
// the text, and no line ends in blanks; in ASCII there is only ASCII, as many lines, and
// each bar as long.
func TestForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		width := rapid.IntRange(60, 160).Draw(t, "width")
		plain := draw(t, tr, waterfall.Options{Width: width})
		if diff := cmp.Diff(plain, unpaint(draw(t, tr, waterfall.Options{Width: width, Color: true}))); diff != "" {
			t.Errorf("(-plain +painted):\n%s", diff)
		}
		if at := regexp.MustCompile(`[\x00-\x09\x0b-\x1f\x7f-\x9f\x{202e}]| \n`).FindString(plain); at != "" {
			t.Errorf("%q in\n%s", at, plain)
		}
		ascii := draw(t, tr, waterfall.Options{Width: width, ASCII: true})
		if at := regexp.MustCompile(`[^\n -~]`).FindString(ascii); at != "" {
			t.Errorf("%q in\n%s", at, ascii)
		}
		if got, want := strings.Count(ascii, "\n"), strings.Count(plain, "\n"); got != want {
			t.Errorf("%d lines of ASCII, %d of UTF-8", got, want)
		}
	})
}

// Each service has a colour of its own while there are enough, the same on every line;
// red is only for what failed.
func TestServicesHaveColours(t *testing.T) {
	tr := &trace.Trace{}
	root := tr.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, Title: "ping", Start: begin, End: begin + 100, NetNS: &trace.NetNS{Name: "service-0"}})
	for i := range 12 {
		s := trace.Span{Kind: trace.KindForward, Start: begin, End: begin + 100, NetNS: &trace.NetNS{Name: fmt.Sprint("service-", i%6)}, Leaf: true}
		if i == 4 {
			s.Error = "FAILED"
		}
		tr.Add(root, s)
	}
	colours, of := map[string]string{}, map[string]string{}
	for line := range strings.Lines(draw(t, tr, waterfall.Options{Color: true})) {
		var bar, service string
		for _, piece := range painted(line) {
			colour, word, _ := strings.Cut(piece, " ")
			if strings.HasPrefix(word, "service-") {
				service = word
				if was := of[word]; was != "" && was != colour {
					t.Errorf("%s is painted %s and %s", word, was, colour)
				}
				of[word], colours[colour] = colour, word
			} else if strings.HasPrefix(word, "█") {
				bar = colour
			}
		}
		if want := of[service]; service != "" && bar != want && bar != "1;31" {
			t.Errorf("%s has the colour %s, its bar %s", service, want, bar)
		}
	}
	if len(of) != 6 || len(colours) != 5 || of["service-5"] != of["service-0"] {
		t.Errorf("colours %v", of)
	}
	for colour, service := range colours {
		if strings.Contains(colour, "31") {
			t.Errorf("%s is red", service)
		}
	}
}

// Trouble is red on its line, and what became of the ping has a colour in the title.
func TestTroubleIsRed(t *testing.T) {
	dropped := tracetest.Dropped(1)
	dropped.Duplicates, dropped.Local = 2, true
	drawing := draw(t, dropped, waterfall.Options{Color: true})
	lines := strings.Split(drawing, "\n")
	for i, want := range map[int][]string{
		0: {"1 ping 192.168.0.10 -> 203.0.113.8", "1;31 dropped: NETFILTER_DROP", "33 duplicate replies: 2"},
		1: {"2 trace " + dropped.ID.String(), "2 (this host's own: the payload does not tell the ping from others)"},
	} {
		if diff := cmp.Diff(want, painted(lines[i])); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i, diff)
		}
	}
	failed := painted(lines[len(lines)-3])
	if len(failed) != 5 || !strings.HasPrefix(failed[1], "1;31 forward") || !strings.HasPrefix(failed[3], "1;31 ") || !strings.HasPrefix(failed[4], "1;31 ") {
		t.Errorf("the span that failed: %q", failed)
	}
	event := painted(lines[len(lines)-2])
	if len(event) != 3 || !strings.HasPrefix(event[0], "1;31 ◆ dropped") || event[1] != "1;31 ◆" || !strings.HasPrefix(event[2], "2 +") {
		t.Errorf("its event: %q", event)
	}
	for outcome, want := range map[*trace.Trace]string{tracetest.Complete(1): "32 complete", tracetest.NoReply(1): "33 incomplete: no reply came in time"} {
		title, _, _ := strings.Cut(draw(t, outcome, waterfall.Options{Color: true}), "\n")
		if got := painted(title); got[len(got)-1] != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	failure := painted(strings.Split(draw(t, withEvents("NO_ROUTE"), waterfall.Options{Color: true}), "\n")[7])
	if len(failure) != 3 || failure[0] != "1;31 ◆ dropped: NO_ROUTE" {
		t.Errorf("a failure without an event: %q", failure)
	}
}
