// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func title(t *testing.T, tr *trace.Trace) string {
	t.Helper()
	return readPicture(t, draw(t, tr, waterfall.Options{})).title[0]
}

// Each cause of an incomplete trace is said in words of its own.
func TestCauses(t *testing.T) {
	seen := map[string]trace.Cause{}
	for _, cause := range trace.Causes() {
		tr := tracetest.NoReply(1)
		tr.Cause = cause
		_, says, ok := strings.Cut(title(t, tr), "incomplete: ")
		if !ok || len(strings.Fields(says)) < 3 || strings.Contains(says, "_") || seen[says] != "" {
			t.Errorf("%s: %q, as %s", cause, says, seen[says])
		}
		seen[says] = cause
	}
	tr := tracetest.NoReply(1)
	tr.Cause = "of_a_later_version"
	if got := title(t, tr); !strings.HasSuffix(got, "incomplete: of_a_later_version") {
		t.Errorf("%q", got)
	}
}

// The first line has the ping and what became of it, and nothing that is not so.
func TestTitle(t *testing.T) {
	complete, dropped := tracetest.Complete(65535), tracetest.Dropped(0)
	dropped.DropReason = "\x1b[31mred"
	twice := tracetest.Complete(1)
	twice.Duplicates = 1
	for name, tt := range map[string]struct {
		trace *trace.Trace
		has   []string
		not   []string
	}{
		"complete":    {complete, []string{"ping 192.168.0.10 -> 203.0.113.8", "seq 65535", "rtt 28.976 µs", "complete"}, []string{"dropped", "duplicate"}},
		"dropped":     {dropped, []string{"seq 0", "dropped: \ufffd[31mred"}, []string{"rtt", "complete", "\x1b"}},
		"incomplete":  {tracetest.NoReply(2), []string{"seq 2", "incomplete: "}, []string{"rtt", "dropped"}},
		"expired":     {tracetest.Expired(2), []string{"expired: the time to live ran out"}, []string{"rtt", "dropped"}},
		"unreachable": {tracetest.Unreachable(2), []string{"unreachable: a host on the way answered with an ICMP error"}, []string{"rtt", "dropped"}},
		"partial":     {tracetest.Partial(2), []string{"partial: seen as far as the traced interfaces go"}, []string{"rtt", "incomplete"}},
		"two replies": {tracetest.Twice(2), []string{"rtt 43.118 µs", "duplicate replies: 1"}, nil},
		"twice":       {twice, []string{"complete", "duplicate replies: 1"}, nil},
	} {
		got := title(t, tt.trace)
		for _, part := range tt.has {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q does not say %q", name, got, part)
			}
		}
		for _, part := range tt.not {
			if strings.Contains(got, part) {
				t.Errorf("%s: %q says %q", name, got, part)
			}
		}
	}
}

// The second line names the trace as other tools do.
func TestTraceID(t *testing.T) {
	tr := tracetest.Complete(17)
	for _, local := range []bool{false, true} {
		tr.Local = local
		id := readPicture(t, draw(t, tr, waterfall.Options{})).title[1]
		if !strings.HasPrefix(id, "trace "+tr.ID.String()) || strings.Contains(id, "this host") != local {
			t.Errorf("local %t: %q", local, id)
		}
	}
}

// A trace of nothing is not drawn.
func TestNoSpans(t *testing.T) {
	var b bytes.Buffer
	if err := waterfall.Write(&b, &trace.Trace{}, waterfall.Options{}); err != nil || b.Len() > 0 {
		t.Errorf("%q, %v", b.String(), err)
	}
}

// From nothing to hours: a drawing is whole, and the figures have their unit.
func TestDurations(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 ns", 1: "1 ns", 999: "999 ns", 1000: "1.000 µs", 999_999: "999.999 µs", 1_000_000: "1.000000 ms",
		999_999_999: "999.999999 ms", 1_000_000_001: "1.000000001 s", 7_200_000_000_000: "7200.000000000 s",
	} {
		tr := withEvents("")
		tr.Root().End, tr.Spans[1].End = begin+ns, begin+ns
		for _, ascii := range []bool{false, true} {
			p, spans := rows(t, tr, waterfall.Options{ASCII: ascii})
			want := want
			if ascii {
				want = strings.Replace(want, "µs", "us", 1)
			}
			for _, l := range spans {
				if first, last := extent(l.bar); l.dwell != want || first != 0 || ns > 0 && last != p.columns()-1 || ns == 0 && last != 0 {
					t.Errorf("%d ns: %q, bar from %d to %d of %d", ns, l.dwell, first, last, p.columns())
				}
			}
			if p.total != want || text.Width(p.heads) != 100 {
				t.Errorf("%d ns: heads %q", ns, p.heads)
			}
		}
	}
}
