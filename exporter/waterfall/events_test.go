// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
	"github.com/dwelltrace/dwell/exporter/waterfall"
)

// withEvents is a ping of 1 ms with one leaf, in which the events happen.
func withEvents(failure string, events ...trace.Event) *trace.Trace {
	tr := &trace.Trace{}
	ns := &trace.NetNS{Name: "guest"}
	root := tr.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, Title: "ping", Start: begin, End: begin + 1_000_000, NetNS: ns})
	tr.Add(root, trace.Span{Kind: trace.KindForward, Start: begin, End: begin + 900_000, NetNS: ns, Leaf: true, Error: failure, Events: events})
	return tr
}

func event(name string, ns int64, attrs ...string) trace.Event {
	e := trace.Event{Name: name, Time: begin + ns}
	for i := 0; i < len(attrs); i += 2 {
		e.Attrs = append(e.Attrs, trace.String(attrs[i], attrs[i+1]))
	}
	return e
}

func onV4(tr *trace.Trace) *trace.Trace {
	tr.Ping.Src = netip.MustParseAddr("192.0.2.7")
	return tr
}

func icmpError(kind, code string) trace.Event {
	return event(trace.EventICMPError, 0, trace.AttrICMPErrorType, kind, trace.AttrICMPErrorCode, code)
}

// What the lines below a span say of its events, for each kind, and for an event that
// has not what its kind has.
func TestEvents(t *testing.T) {
	for name, tt := range map[string]struct {
		trace *trace.Trace
		want  []string
	}{
		"none":                     {withEvents(""), nil},
		"drop":                     {withEvents("", event(trace.EventDrop, 7, trace.AttrDropReason, "NO_SOCKET")), []string{"◆ dropped: NO_SOCKET +7 ns"}},
		"drop with its error":      {withEvents("X", event(trace.EventDrop, 7, trace.AttrDropReason, "NO_SOCKET")), []string{"◆ dropped: NO_SOCKET +7 ns"}},
		"drop among others":        {withEvents("X", event(trace.EventDrop, 7), event("later", 8)), []string{"◆ " + trace.EventDrop + " +7 ns", "◆ later +8 ns"}},
		"drop without a reason":    {withEvents("", event(trace.EventDrop, 7, "k", "v")), []string{"◆ " + trace.EventDrop + " k=v +7 ns"}},
		"failure without an event": {withEvents("NO_ROUTE"), []string{"◆ dropped: NO_ROUTE +900.000 µs"}},
		"failure beside a copy": {
			withEvents("NO_ROUTE", event(trace.EventCopy, 1, trace.AttrNetworkInterface, "eth1")),
			[]string{"◆ copied to eth1 +1 ns", "◆ dropped: NO_ROUTE +900.000 µs"},
		},
		"nat":              {withEvents("", event(trace.EventNAT, 1500, trace.AttrNATBefore, "a", trace.AttrNATAfter, "b")), []string{"◆ nat a +1.500 µs", "    → b"}},
		"nat from nowhere": {withEvents("", event(trace.EventNAT, 0, trace.AttrNATAfter, "b")), []string{"◆ " + trace.EventNAT + " " + trace.AttrNATAfter + "=b +0 ns"}},
		"copy to nowhere":  {withEvents("", event(trace.EventCopy, 0)), []string{"◆ " + trace.EventCopy + " +0 ns"}},
		"icmp error": {
			onV4(withEvents("", event(trace.EventICMPError, 3, trace.AttrICMPErrorType, "11", trace.AttrICMPErrorCode, "0", trace.AttrSourceAddress, "192.0.2.1"))),
			[]string{"◆ icmp error: time exceeded (11/0) from 192.0.2.1 +3 ns"},
		},
		"icmp errors of IPv4": {
			onV4(withEvents("", icmpError("3", "1"), icmpError("3", "4"), icmpError("12", "0"), icmpError("1", "0"))),
			[]string{
				"◆ icmp error: destination unreachable (3/1) +0 ns", "◆ icmp error: fragmentation needed (3/4) +0 ns",
				"◆ icmp error: parameter problem (12/0) +0 ns", "◆ icmp error: 1/0 +0 ns",
			},
		},
		"icmp errors of IPv6": {
			withEvents("", icmpError("1", "0"), icmpError("2", "0"), icmpError("3", "0"), icmpError("4", "1"), icmpError("11", "0")),
			[]string{
				"◆ icmp error: destination unreachable (1/0) +0 ns", "◆ icmp error: packet too big (2/0) +0 ns",
				"◆ icmp error: time exceeded (3/0) +0 ns", "◆ icmp error: parameter problem (4/1) +0 ns", "◆ icmp error: 11/0 +0 ns",
			},
		},
		"icmp error without a code": {withEvents("", event(trace.EventICMPError, 0, trace.AttrICMPErrorType, "99")), []string{"◆ icmp error: 99 +0 ns"}},
		"icmp error of no type":     {withEvents("", event(trace.EventICMPError, 0)), []string{"◆ icmp.error +0 ns"}},
		"firewall": {
			withEvents("",
				event(trace.EventFirewall, 0, trace.AttrFirewallVerdict, "defer", trace.AttrFirewallPlace, "tc", trace.AttrFirewallReason, "fragment", trace.AttrTenantID, "red"),
				event(trace.EventFirewall, 1, trace.AttrFirewallVerdict, "pass", trace.AttrFirewallPlace, "forward", trace.AttrFirewallChain, "FORWARD", trace.AttrTenantID, "red", trace.AttrFirewallNS, "143"),
				event(trace.EventFirewall, 2, trace.AttrFirewallVerdict, "drop", trace.AttrFirewallPlace, "tc", trace.AttrFirewallChain, "web", trace.AttrTenantID, "red"),
				event(trace.EventFirewall, 3, trace.AttrFirewallVerdict, "unknown", trace.AttrFirewallPlace, "iptables", trace.AttrFirewallChain, "FORWARD", trace.AttrTenantID, "red", trace.AttrFirewallReason, "match"),
			),
			[]string{
				"◆ left to FORWARD by red's firewall (tc): fragment +0 ns",
				"◆ passed by red's FORWARD policy (forward) in 143 ns +1 ns",
				"✗ dropped by red's web policy (tc) +2 ns",
				"◆ perhaps dropped by red's FORWARD policy (iptables): match +3 ns",
			},
		},
		"firewall whose rules are not known": {
			withEvents("",
				event(trace.EventFirewall, 0, trace.AttrFirewallVerdict, "drop", trace.AttrFirewallPlace, "tc", trace.AttrTenantNumber, "7", trace.AttrRule, "3"),
				event(trace.EventFirewall, 0, trace.AttrFirewallVerdict, "defer", trace.AttrFirewallPlace, "forward"),
			),
			[]string{"✗ dropped by firewall of tenant 7, rule with the ID 3 (tc) +0 ns", "◆ left to iptables by a firewall (forward) +0 ns"},
		},
		"redirect": {
			withEvents("",
				event(trace.EventRedirect, 0, trace.AttrFastPathTo, "veth7", trace.AttrFastPathNS, "812", trace.AttrFastPathTTL, "63",
					trace.AttrFastPathLease, "9870", trace.AttrFastPathSrcMAC, "02:00:00:00:00:01", trace.AttrFastPathDstMAC, "02:00:00:00:00:02"),
				event(trace.EventRedirect, 1, trace.AttrFastPathTo, "veth7", trace.AttrFastPathHandover, "peer", trace.AttrFastPathTunnel, "decapsulated"),
				event(trace.EventRedirect, 2)),
			[]string{
				"◆ sent to veth7 in 812 ns +0 ns", "  ttl 63, 9.9 s of its lease left", "  02:00:00:00:00:01 → 02:00:00:00:00:02",
				"◆ given to veth7's other end +1 ns", "  decapsulated",
				"◆ sent on +2 ns",
			},
		},
		"fallback and learning": {
			withEvents("",
				event(trace.EventFallback, 0, trace.AttrFastPathReason, "fragment", trace.AttrFastPathNS, "93"),
				event(trace.EventLearn, 1, trace.AttrFastPathLearnt, "made"), event(trace.EventLearn, 2, trace.AttrFastPathLearnt, "renewed"),
				event(trace.EventLearn, 3, trace.AttrFastPathLearnt, "agreed"), event(trace.EventLearn, 4, trace.AttrFastPathReason, "differs"),
				event(trace.EventLearn, 5)),
			[]string{
				"◆ left to the kernel by the fast path in 93 ns: fragment +0 ns", "◆ learnt by the fast path +1 ns",
				"◆ as the fast path foretold, lease renewed +2 ns", "◆ as the fast path foretold +3 ns",
				"◆ not learnt by the fast path: differs +4 ns", "◆ looked at by the fast path +5 ns",
			},
		},
		"others":                     {withEvents("", event("gro", 2, "a", "1", "b", "2"), event("gso", 1)), []string{"◆ gro a=1 b=2 +2 ns", "◆ gso +1 ns"}},
		"with another's reason":      {withEvents("", event("other", 0, trace.AttrDropReason, "X")), []string{"◆ other " + trace.AttrDropReason + "=X +0 ns"}},
		"with another's NAT":         {withEvents("", event("other", 0, trace.AttrNATBefore, "X")), []string{"◆ other " + trace.AttrNATBefore + "=X +0 ns"}},
		"with another's copy":        {withEvents("", event("other", 0, trace.AttrNetworkInterface, "X")), []string{"◆ other " + trace.AttrNetworkInterface + "=X +0 ns"}},
		"that would move the cursor": {withEvents("", event("\x1b[1A\r\n", 0)), []string{"◆ \ufffd[1A\ufffd\ufffd +0 ns"}},
	} {
		p := readPicture(t, draw(t, tt.trace, waterfall.Options{}))
		var got []string
		for _, l := range p.lines[2:] {
			name := strings.TrimPrefix(cut(l.all, 0, p.bar), "   ")
			if l.dwell == "" {
				name = strings.TrimPrefix(l.all, "   ") // what follows on a second line
			}
			got = append(got, strings.TrimRight(strings.TrimRight(name, " ")+" "+l.dwell, " "))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The same in ASCII: the second side of a NAT stands below the first there, too.
func TestNATInASCII(t *testing.T) {
	tr := withEvents("", event(trace.EventNAT, 1500, trace.AttrNATBefore, "before", trace.AttrNATAfter, "after"))
	for _, ascii := range []bool{false, true} {
		lines := readPicture(t, draw(t, tr, waterfall.Options{ASCII: ascii})).lines
		before, _, _ := strings.Cut(lines[2].all, "before")
		after, _, _ := strings.Cut(lines[3].all, "after")
		if text.Width(before) != text.Width(after) {
			t.Errorf("ASCII %t: %q above %q", ascii, lines[2].all, lines[3].all)
		}
	}
}

// The mark of an event stands in the column of its time, which is inside of its span's
// bar or beside it, and its figure is the time since the ping began.
func TestMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 10_000_000_000).Draw(t, "total")
		at := rapid.Int64Range(0, total).Draw(t, "at")
		tr := withEvents("", event("here", at))
		tr.Root().End = begin + total
		tr.Spans[1].End = begin + total
		p := readPicture(t, draw(t, tr, waterfall.Options{Width: rapid.IntRange(60, 200).Draw(t, "width")}))
		mark := p.lines[2]
		first, last := extent(mark.bar)
		want := min(int(float64(at)/float64(total)*float64(p.columns())), p.columns()-1)
		if first != last || first < want-1 || first > want+1 || strings.Trim(mark.bar, " ") != "◆" {
			t.Errorf("the mark of %d of %d stands at %d, want %d of %d: %q", at, total, first, want, p.columns(), mark.all)
		}
		if offset, ok := strings.CutPrefix(mark.dwell, "+"); !ok || nanoseconds(t, offset) != at {
			t.Errorf("%d ns are written %q", at, mark.dwell)
		}
	})
}

// An event outside of the ping's time, as clocks that are read on two CPUs can make it,
// is drawn at the edge.
func TestMarksAtTheEdge(t *testing.T) {
	for ns, want := range map[int64]string{-5: "left", 1_000_005: "right", 0: "left", 1_000_000: "right"} {
		p := readPicture(t, draw(t, withEvents("", event("here", ns)), waterfall.Options{}))
		first, _ := extent(p.lines[2].bar)
		if column := map[string]int{"left": 0, "right": p.columns() - 1}[want]; first != column {
			t.Errorf("%d ns: the mark stands at %d of %d", ns, first, p.columns())
		}
	}
}

// A span that reaches out of the root, as a reply that was seen too late, widens the
// scale: nothing is drawn as if it were at the edge.
func TestScaleHoldsEverySpan(t *testing.T) {
	tr := withEvents("")
	tr.Spans[1].Start, tr.Spans[1].End = begin-1_000_000, begin+3_000_000
	p, spans := rows(t, tr, waterfall.Options{Width: 140})
	if p.total != "4.000000 ms" {
		t.Errorf("the scale ends with %q", p.total)
	}
	rootFirst, rootLast := extent(spans[0].bar)
	first, last := extent(spans[1].bar)
	quarter := p.columns() / 4
	if first != 0 || last != p.columns()-1 || rootFirst < quarter-1 || rootFirst > quarter+1 || rootLast < 2*quarter-1 || rootLast > 2*quarter+2 {
		t.Errorf("the span stands from %d to %d, the root from %d to %d of %d", first, last, rootFirst, rootLast, p.columns())
	}
	if got := fmt.Sprint(spans[0].dwell, spans[1].dwell); got != "1.000000 ms4.000000 ms" {
		t.Errorf("dwells %s", got)
	}
}
