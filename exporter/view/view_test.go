// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// The host of these tests: red and blue have a guest, a port and a bridge each; the
// hypervisor's uplink leads to a namespace of nobody.
var (
	hypervisor = &trace.NetNS{Inode: 1, Name: "hypervisor", Hypervisor: true, Shared: true}
	redNS      = &trace.NetNS{Inode: 2, Name: "red", Tenant: "red"}
	blueNS     = &trace.NetNS{Inode: 3, Name: "blue", Tenant: "blue"}
	outsideNS  = &trace.NetNS{Inode: 4, Name: "outside"}

	redEth  = &trace.Device{NetNS: redNS, Index: 1, Name: "red-eth", Tenant: "red"}
	redBr   = &trace.Device{NetNS: hypervisor, Index: 2, Name: "red-br", Bridge: "red-br", Tenant: "red"}
	redPort = &trace.Device{NetNS: hypervisor, Index: 3, Name: "red-port", Bridge: "red-br", Tenant: "red"}
	blueEth = &trace.Device{NetNS: blueNS, Index: 1, Name: "blue-eth", Tenant: "blue"}
	blueBr  = &trace.Device{NetNS: hypervisor, Index: 4, Name: "blue-br", Bridge: "blue-br", Tenant: "blue"}
	ens     = &trace.Device{NetNS: hypervisor, Index: 5, Name: "ens"}
	outside = &trace.Device{NetNS: outsideNS, Index: 1, Name: "outside-eth"}

	redAddr, redPublic   = netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("198.51.100.2")
	blueAddr, bluePublic = netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("198.51.100.3")
	farAddr              = netip.MustParseAddr("203.0.113.8")
)

// part is a leaf of a made-up trace.
type part struct {
	kind     trace.Kind
	from, to *trace.Device
	src, dst netip.Addr
	drop     string
	nat      string
}

// The parts of a ping from red to blue, whose guest red knows by its public address, and of one
// to the world. Each takes 10 ns.
func redToBlue() []part {
	nat := "10.0.0.2 -> 198.51.100.3 id 7"
	return []part{
		{kind: trace.KindTransmit, from: redEth, src: redAddr, dst: bluePublic},
		{kind: trace.KindLink, from: redEth, to: redPort, src: redAddr, dst: bluePublic},
		{kind: trace.KindBridge, from: redPort, to: redBr, src: redAddr, dst: bluePublic},
		{kind: trace.KindForward, from: redBr, to: blueBr, src: redAddr, dst: bluePublic, nat: nat},
		{kind: trace.KindTransmit, from: blueBr, src: redPublic, dst: blueAddr},
		{kind: trace.KindLink, from: blueBr, to: blueEth, src: redPublic, dst: blueAddr},
		{kind: trace.KindDeliver, from: blueEth, src: redPublic, dst: blueAddr},
	}
}

func blueToRed() []part {
	return []part{
		{kind: trace.KindTransmit, from: blueEth, src: blueAddr, dst: redPublic},
		{kind: trace.KindLink, from: blueEth, to: blueBr, src: blueAddr, dst: redPublic},
		{kind: trace.KindForward, from: blueBr, to: redBr, src: blueAddr, dst: redPublic},
		{kind: trace.KindBridge, from: redBr, to: redPort, src: bluePublic, dst: redAddr},
		{kind: trace.KindLink, from: redPort, to: redEth, src: bluePublic, dst: redAddr},
		{kind: trace.KindDeliver, from: redEth, src: bluePublic, dst: redAddr},
	}
}

func redOut() []part {
	return append(redToBlue()[:3],
		part{kind: trace.KindForward, from: redBr, to: ens, src: redAddr, dst: farAddr},
		part{kind: trace.KindTransmit, from: ens, src: redPublic, dst: farAddr},
		part{kind: trace.KindLink, from: ens, to: outside, src: redPublic, dst: farAddr},
		part{kind: trace.KindDeliver, from: outside, src: redPublic, dst: farAddr},
	)
}

func redIn() []part {
	return append([]part{
		{kind: trace.KindTransmit, from: outside, src: farAddr, dst: redPublic},
		{kind: trace.KindLink, from: outside, to: ens, src: farAddr, dst: redPublic},
		{kind: trace.KindForward, from: ens, to: redBr, src: farAddr, dst: redPublic},
	}, blueToRed()[3:]...)
}

// made makes a trace of the request's parts, what is between, and the reply's.
func made(o trace.Outcome, request []part, turn *part, reply []part) *trace.Trace {
	first := slices.Concat(request, reply)[0]
	t := &trace.Trace{
		ID: trace.ID{1}, Outcome: o, Sent: true,
		Ping: trace.Ping{Src: first.src, Dst: first.dst, ID: 5, Seq: 1, PayloadLen: 56},
	}
	now := int64(0)
	root := t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: first.from.NetNS, Packet: &trace.Packet{Src: first.src, Dst: first.dst}})
	if len(request) > 0 {
		now = addJourney(t, trace.KindRequest, request, now)
	}
	if turn != nil {
		now = addPart(t, root, *turn, now)
	}
	if len(reply) > 0 {
		now = addJourney(t, trace.KindReply, reply, now)
	}
	t.Root().End = now
	t.Root().Error = t.DropReason
	return t
}

func addJourney(t *trace.Trace, kind trace.Kind, parts []part, now int64) int64 {
	at := t.Add(0, trace.Span{ID: trace.SpanID{9, byte(len(t.Spans))}, Kind: kind, Start: now, NetNS: parts[0].from.NetNS})
	for _, p := range parts {
		now = addPart(t, at, p, now)
	}
	t.Spans[at].End = now
	return now
}

func addPart(t *trace.Trace, parent int, p part, now int64) int64 {
	s := trace.Span{
		ID: trace.SpanID{byte(len(t.Spans))}, Kind: p.kind, Leaf: true, Start: now, End: now + 10, NetNS: p.from.NetNS,
		Device: p.from, Peer: p.to, Packet: &trace.Packet{Src: p.src, Dst: p.dst}, Error: p.drop,
	}
	if p.drop != "" {
		t.DropReason = p.drop
	}
	if p.nat != "" {
		s.Events = []trace.Event{{Name: trace.EventNAT, Time: s.End, Attrs: []trace.Attr{
			trace.String(trace.AttrNATBefore, p.nat), trace.String(trace.AttrNATAfter, strings.Replace(p.nat, "id 7", "id 8", 1)),
		}}}
	}
	t.Add(parent, s)
	return s.End
}

// told returns a view on one line: the ping, its leaves, and how it ended.
func told(t *trace.Trace) string {
	if t == nil {
		return "nothing"
	}
	var b strings.Builder
	b.WriteString(t.Ping.Src.String() + " -> " + t.Ping.Dst.String() + ":")
	for i := range t.Spans {
		s := &t.Spans[i]
		switch {
		case s.Kind.Journey():
			b.WriteString(" " + s.Kind.String()[5:] + ":")
		case s.Leaf:
			b.WriteString(" " + s.Name() + ",")
		}
	}
	return b.String() + " " + t.Outcome.String() + string(t.Cause) + t.DropReason
}

const (
	redBegins = "10.0.0.2 -> 198.51.100.3: request: transmit red-eth, link red-eth -> red-port, bridge red-br, forward,"
	redEnds   = " reply: forward, bridge red-br, link red-port -> red-eth, deliver,"
	blueSees  = "198.51.100.2 -> 10.0.0.3: request: forward, transmit blue-br, link blue-br -> blue-eth, deliver,"
)

func TestViews(t *testing.T) {
	respond := &part{kind: trace.KindRespond, from: blueEth}
	between := made(trace.Complete, redToBlue(), respond, blueToRed())
	died := redToBlue()
	died[6].drop = "NETFILTER_DROP"
	diedOnTheWay := redToBlue()[:4]
	diedOnTheWay[3].drop = "NETFILTER_DROP"
	lost := blueToRed()
	lost[5].drop = "SOCKET_FILTER"
	flooded := redToBlue()
	flooded[6].drop = "OTHERHOST"
	// A ping of red's that passes a router of blue's, and then the uplink.
	through := append(slices.Clone(redToBlue()[:6]),
		part{kind: trace.KindLink, from: blueEth, to: blueBr, src: redPublic, dst: farAddr},
		part{kind: trace.KindForward, from: blueBr, to: ens, src: redPublic, dst: farAddr},
		part{kind: trace.KindTransmit, from: ens, src: redPublic, dst: farAddr})
	back := append([]part{{kind: trace.KindForward, from: ens, to: blueBr, src: farAddr, dst: redPublic}}, blueToRed()[2:]...)
	for _, test := range []struct {
		name, tenant string
		t            *trace.Trace
		want         string
	}{
		{"to blue", "red", between, redBegins + " beyond red-br," + redEnds + " complete"},
		{"from red", "blue", between, blueSees + " respond, reply: transmit blue-eth, link blue-eth -> blue-br, forward, complete"},
		{"of others", "green", between, "nothing"},
		{
			"to the world", "red", made(trace.Complete, redOut(), &part{kind: trace.KindRespond, from: outside}, redIn()),
			"10.0.0.2 -> 198.51.100.3: request: transmit red-eth, link red-eth -> red-port, bridge red-br, forward, transmit ens, link ens, beyond ens," + redEnds + " complete",
		},
		{"that died with blue", "red", made(trace.Dropped, died, nil, nil), redBegins + " incompleteno_reply"},
		{"that died with me", "blue", made(trace.Dropped, died, nil, nil), blueSees + " droppedNETFILTER_DROP"},
		{"that died in the hypervisor", "red", made(trace.Dropped, diedOnTheWay, nil, nil), redBegins + " droppedNETFILTER_DROP"},
		{
			"whose reply died with red", "blue", made(trace.Dropped, redToBlue(), respond, lost),
			blueSees + " respond, reply: transmit blue-eth, link blue-eth -> blue-br, forward, complete",
		},
		{"whose reply died with me", "red", made(trace.Dropped, redToBlue(), respond, lost), redBegins + " beyond red-br," + redEnds + " droppedSOCKET_FILTER"},
		{"flooded to me", "blue", made(trace.Dropped, flooded, nil, nil), "nothing"},
		{"flooded to blue", "red", made(trace.Dropped, flooded, nil, nil), redBegins + " incompleteno_reply"},
		{
			"through blue's router", "red", made(trace.Complete, through, &part{kind: trace.KindBeyond, from: ens}, back),
			redBegins + " beyond red-br," + redEnds + " complete",
		},
		{"through my router", "blue", made(trace.Complete, through, &part{kind: trace.KindBeyond, from: ens}, back), "198.51.100.2 -> 10.0.0.3: request: forward, transmit blue-br, link blue-br -> blue-eth, link blue-eth -> blue-br, forward, transmit ens, beyond ens, reply: forward, forward, complete"},
	} {
		t.Run(test.name+", "+test.tenant, func(t *testing.T) {
			v := Viewer{Tenant: test.tenant}
			if got := told(v.Of(test.t)); got != test.want {
				t.Errorf("the view is\n%s\nand not\n%s", got, test.want)
			}
		})
	}
}

// Tenants may have the same addresses, and then NAT may put one's own address where the
// other's belongs. That they are equal is nobody's business.
func TestEqualAddressesAreNotTold(t *testing.T) {
	equal := func(parts []part) []part {
		for i := range parts {
			p := &parts[i]
			for _, a := range [...]*netip.Addr{&p.src, &p.dst} {
				if *a == blueAddr {
					*a = redAddr
				}
			}
			if p.nat != "" {
				p.nat = "10.0.0.2 -> 10.0.0.2 id 7"
			}
		}
		return parts
	}
	request, reply := equal(redToBlue()), equal(blueToRed())
	tr := made(trace.Complete, request, &part{kind: trace.KindRespond, from: blueEth}, reply)
	for _, foreign := range []func(netip.Addr) bool{nil, func(a netip.Addr) bool { return a == redAddr }} {
		seen := (&Viewer{Tenant: "red", Foreign: foreign}).Of(tr)
		for i := range seen.Spans {
			s := &seen.Spans[i]
			if src, dst := s.Packet.Addresses(); s.Direction == trace.Request && dst == redAddr || s.Direction == trace.Reply && src == redAddr {
				t.Errorf("red sees in %v a packet from %v to %v", s, src, dst)
			}
			for _, e := range s.Events {
				t.Errorf("red sees in %v the event %v", s, e)
			}
		}
	}
}
