// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"encoding/binary"
	"net/netip"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// begin is where the traces of the generator start, in nanoseconds since the epoch.
const begin = int64(1_767_225_600_000_000_000)

// names are some that devices and namespaces may have: usual, long, wide, combining and
// dangerous ones.
func names() []string {
	return []string{
		"eth0", "", "a name that is far too long to stand in any column of a narrow terminal", "客户机网络命名空间的名字很长很长很长", "e\u0301e\u0301",
		"\x1b[2J\x1b]0;title\x07", "line\nbreak", "tab\tbed", "\xff\xfe", "\u202eright to left", "💥", "◆ ███", "  blanks  ",
	}
}

// grower adds spans to a trace at random.
type grower struct {
	t     *rapid.T
	trace *trace.Trace
}

// anyTrace draws a trace of up to some dozen spans, that takes from nothing to hours.
func anyTrace(t *rapid.T) *trace.Trace {
	g := grower{t: t, trace: &trace.Trace{
		Ping:    trace.Ping{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("2001:db8::1"), Seq: rapid.Uint16().Draw(t, "seq")},
		Outcome: rapid.SampledFrom(trace.Outcomes()).Draw(t, "outcome"),
		Local:   rapid.Bool().Draw(t, "local"), Duplicates: rapid.IntRange(0, 2).Draw(t, "duplicates"),
	}}
	if g.trace.Outcome == trace.Dropped {
		g.trace.DropReason = g.name("reason")
	}
	total := rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(0, 1_000_000), rapid.Int64Range(0, 7_200_000_000_000)).Draw(t, "total")
	g.span(trace.NoParent, trace.KindPing, begin, begin+total, 4)
	return g.trace
}

func (g *grower) name(label string) string { return rapid.SampledFrom(names()).Draw(g.t, label) }

// span adds one, and below it those that fit in between.
func (g *grower) span(parent int, kind trace.Kind, start, end int64, levels int) {
	s := trace.Span{Kind: kind, Start: start, End: end, NetNS: &trace.NetNS{Inode: 1, Name: g.name("netns")}}
	if rapid.IntRange(0, 9).Draw(g.t, "no netns") == 0 {
		s.NetNS = nil
	}
	s.Device = &trace.Device{NetNS: s.NetNS, Name: g.name("device")}
	if kind == trace.KindLink {
		s.Peer = &trace.Device{NetNS: s.NetNS, Name: g.name("peer")}
	}
	binary.BigEndian.PutUint32(s.ID[:], uint32(len(g.trace.Spans))+1)
	children := 0
	if levels > 0 {
		children = rapid.IntRange(0, 3).Draw(g.t, "children")
	}
	s.Leaf = children == 0
	if s.Leaf && rapid.IntRange(0, 4).Draw(g.t, "failed") == 0 {
		s.Error = g.name("error")
	}
	for range rapid.IntRange(0, 2).Draw(g.t, "events") {
		s.Events = append(s.Events, g.event(start, end))
	}
	at := g.trace.Add(parent, s)
	for range children {
		from := rapid.Int64Range(start, end).Draw(g.t, "start")
		to := rapid.Int64Range(from, end).Draw(g.t, "end")
		kind := rapid.SampledFrom([]trace.Kind{trace.KindLink, trace.KindTransmit, trace.KindHypervisor, trace.KindRequest}).Draw(g.t, "kind")
		g.span(at, kind, from, to, levels-1)
		start = to
	}
}

func (g *grower) event(start, end int64) trace.Event {
	e := trace.Event{
		Time: rapid.Int64Range(start, end).Draw(g.t, "time"),
		Name: rapid.SampledFrom([]string{trace.EventDrop, trace.EventNAT, trace.EventCopy, trace.EventICMPError, trace.EventRedirect, trace.EventFallback, "other"}).Draw(g.t, "event"),
	}
	for _, key := range []string{trace.AttrDropReason, trace.AttrNATBefore, trace.AttrNATAfter, trace.AttrNetworkInterface, trace.AttrICMPErrorType, trace.AttrFastPathTo, trace.AttrFastPathDstMAC, trace.AttrFastPathReason} {
		if rapid.Bool().Draw(g.t, key) {
			e.Attrs = append(e.Attrs, trace.String(key, g.name(key)))
		}
	}
	return e
}
