// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/waterfall"
)

// leg is a journey: places and how long the ping is there.
type leg struct {
	place string
	ns    int64
}

// journeys makes a ping of a request and a reply.
func journeys(request, reply []leg) *trace.Trace {
	ns := &trace.NetNS{Name: "host"}
	t := &trace.Trace{Outcome: trace.Complete}
	t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: ns, Title: "ping"})
	now := int64(0)
	for i, legs := range [][]leg{request, reply} {
		kind, d := trace.KindRequest, trace.Request
		if i == 1 {
			kind, d = trace.KindReply, trace.Reply
		}
		j := t.Add(0, trace.Span{Kind: kind, Direction: d, Start: now, NetNS: ns})
		for _, l := range legs {
			t.Add(j, trace.Span{Kind: trace.KindForward, Direction: d, Leaf: true, Start: now, End: now + l.ns, NetNS: ns, Title: l.place})
			now += l.ns
		}
		t.Spans[j].End = now
		if i == 1 {
			t.ReplySpan = j
		}
	}
	t.Spans[0].End = now
	return t
}

// What the second ping did not pass is saved whole, and what only it has stands where it was.
func TestCompare(t *testing.T) {
	slow := journeys([]leg{{"link a", 100}, {"bridge br", 2000}, {"hypervisor", 30_000}, {"link a", 50}}, []leg{{"hypervisor", 9000}, {"device br", 400}})
	fast := journeys([]leg{{"link a", 120}, {"hypervisor", 5000}, {"link a", 50}}, []leg{{"stacked b", 7}, {"hypervisor", 1000}, {"deliver", 1}})
	const want = `SPAN                  SLOW        FAST      SAVED
─────────────────────────────────────────────────
echo request       32.150 µs    5.170 µs  26.980 µs
  link a              100 ns      120 ns     -20 ns
  bridge br         2.000 µs  not passed   2.000 µs
  hypervisor       30.000 µs    5.000 µs  25.000 µs
  link a               50 ns       50 ns       0 ns
echo reply          9.400 µs    1.008 µs   8.392 µs
  stacked b             0 ns        7 ns      -7 ns
  hypervisor        9.000 µs    1.000 µs   8.000 µs
  device br           400 ns  not passed     400 ns
  deliver               0 ns        1 ns      -1 ns
round trip         41.550 µs    6.178 µs  35.372 µs
`
	var got bytes.Buffer
	if err := waterfall.Compare(&got, waterfall.View{Head: "SLOW", Trace: slow}, waterfall.View{Head: "FAST", Trace: fast}, waterfall.Options{}); err != nil {
		t.Fatal(err)
	}
	words := func(s string) (lines [][]string) {
		for _, line := range strings.Split(strings.ReplaceAll(s, "─", ""), "\n") {
			lines = append(lines, strings.Fields(line))
		}
		return lines
	}
	if diff := cmp.Diff(words(want), words(got.String())); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, &got)
	}
}

// However long names are, a line fits, in ASCII if that is asked for.
func TestCompareFits(t *testing.T) {
	long := strings.Repeat("µ-very-long-name", 12)
	slow := journeys([]leg{{long, 100}, {"bridge br", 2000}}, []leg{{"hypervisor", 9000}})
	for _, o := range []waterfall.Options{{}, {ASCII: true}, {Width: 60, Color: true}} {
		var got bytes.Buffer
		if err := waterfall.Compare(&got, waterfall.View{Head: "SLOW", Trace: slow}, waterfall.View{Head: "FAST", Trace: slow}, o); err != nil {
			t.Fatal(err)
		}
		width := o.Width
		if width == 0 {
			width = 100
		}
		for line := range strings.Lines(got.String()) {
			plain := strings.NewReplacer("\x1b[1m", "", "\x1b[2m", "", "\x1b[0m", "", "\n", "").Replace(line)
			if n := utf8.RuneCountInString(plain); n > width {
				t.Errorf("%+v: %d columns: %q", o, n, plain)
			}
			if o.ASCII && len(plain) != utf8.RuneCountInString(plain) {
				t.Errorf("not ASCII: %q", plain)
			}
		}
	}
	one := journeys([]leg{{"a", 1}}, nil)
	one.ReplySpan = 0
	if err := waterfall.Compare(&bytes.Buffer{}, waterfall.View{Trace: one}, waterfall.View{Trace: slow}, waterfall.Options{}); err == nil {
		t.Error("a ping without a reply is compared")
	}
}
