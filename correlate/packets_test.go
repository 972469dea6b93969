// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/view"
)

// The spans of two pings of one program have, in all, four packets: those of the request and of the
// reply, on either side of NAT.
func TestSpansSharePackets(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{})
	s.ping(1)
	s.ping(2)
	c.addAll(s.events)
	c.Flush()
	distinct := map[*trace.Packet]trace.Packet{}
	for _, tr := range c.traces {
		for i := range tr.Spans {
			p := tr.Spans[i].Packet
			distinct[p] = *p
		}
	}
	if len(c.traces) != 2 || len(distinct) != 4 {
		t.Errorf("%d traces have the packets %v", len(c.traces), distinct)
	}
}

// Whatever happens, to more hosts than are remembered and in many networks, each span's packet is what the
// headers said when the span began, also after the trace has been read; that of the root has the ping's addresses.
func TestPacketsAreNotChanged(t *testing.T) {
	c := collect(correlate.Options{})
	headers := map[int64][]trace.Packet{}
	now := uint64(0)
	tunnelled := scenario{"of a tunnel alone", func(s *sim) {
		p := s.request(1)
		p.outer = &event.Tunnel{Src: event.AddressFrom(guestAddr), Dst: event.AddressFrom(natAddr), ID: 42, Type: event.VXLAN}
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	}}
	for _, g := range slices.Concat(golden, roads, copies, guests, judgings, []scenario{tunnelled}) {
		for n := range uint32(40) {
			s := newSim()
			g.what(s)
			now += uint64(time.Hour)
			for _, ev := range s.events {
				ev.Time += now
				ev.Src[15], ev.Dst[15] = ev.Src[15]^byte(n/2), ev.Dst[15]^byte(n/2)
				ev.Tunnels[0].ID += n
				headers[int64(ev.Time)] = append(headers[int64(ev.Time)], packetOf(&ev))
				c.Add(&ev)
			}
			c.Advance(s.end() + now + uint64(time.Minute))
		}
	}
	c.Flush()
	for _, tr := range c.traces {
		otlpLine(t, tr)
		(&view.Viewer{Tenant: "red"}).Of(tr)
	}
	for _, tr := range c.traces {
		checkPackets(t, tr, headers)
	}
}

// packetOf returns what the headers say at an event.
func packetOf(ev *event.Event) trace.Packet {
	p := trace.Packet{Src: ev.Src.Addr(), Dst: ev.Dst.Addr()}
	if outer := ev.Tunnels[0]; ev.Depth > 0 {
		p.Tunnel, p.TunnelID, p.Depth = outer.Type.String(), outer.ID, ev.Depth
		if outer.Src != (event.Address{}) {
			p.OuterSrc, p.OuterDst = outer.Src.Addr(), outer.Dst.Addr()
		}
	}
	return p
}

// checkPackets fails if a packet is not among those of the time at which its span begins.
func checkPackets(t *testing.T, tr *trace.Trace, headers map[int64][]trace.Packet) {
	t.Helper()
	for i := range tr.Spans {
		s := &tr.Spans[i]
		want := slices.Clone(headers[s.Start])
		for n := range want {
			if i == 0 {
				want[n].Src, want[n].Dst = tr.Ping.Src, tr.Ping.Dst
			}
		}
		if !slices.Contains(want, *s.Packet) {
			t.Fatalf("span %d of\n%shas the packet %v, not one of %v", i, render(tr), *s.Packet, want)
		}
	}
}
