// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// tunnel is what a packet says of its outermost tunnel.
type tunnel struct {
	src, dst netip.Addr
	kind     string
	id       uint32
	depth    uint8
}

func tunnelOf(p *trace.Packet) tunnel {
	return tunnel{p.OuterSrc, p.OuterDst, p.Tunnel, p.TunnelID, p.Depth}
}

// route is where a packet comes from and goes to.
type route struct{ src, dst netip.Addr }

// learnAddresses notes which addresses and tunnels were seen on the viewer's own devices: the
// viewer could have seen them there itself. Within the stack of a namespace NAT may already
// have put in another's, so what is seen there does not count.
func (b *builder) learnAddresses() {
	for i := range b.from.Spans {
		s := &b.from.Spans[i]
		if i == 0 || s.Kind.Journey() || s.Kind.Finer() || b.beginsAt(s) != own {
			continue
		}
		src, dst := s.Packet.Addresses()
		if r := (route{src, dst}); r.src.IsValid() && !slices.Contains(b.routes, r) {
			b.routes = append(b.routes, r)
		}
		if s.Packet.Encapsulated() && !slices.Contains(b.tunnels, tunnelOf(s.Packet)) {
			b.tunnels = append(b.tunnels, tunnelOf(s.Packet))
		}
	}
}

// beginsAt returns whose the place is at which a span begins.
func (b *builder) beginsAt(s *trace.Span) class {
	if in := b.viewer.ofNetNS(s.NetNS); in != shared || s.Device == nil {
		return in
	}
	return b.viewer.ofDevice(s.Device)
}

// mayShow reports whether the viewer may see a packet's addresses. Both have to be known, at
// their places, from a packet on its own devices, or from the answer to one: after NAT there
// may be an address of another tenant that happens to be one of its own, too. Only if no other
// tenant takes part in the ping may it see more.
func (b *builder) mayShow(src, dst netip.Addr) bool {
	switch {
	case !src.IsValid() && !dst.IsValid():
		return true
	case slices.Contains(b.routes, route{src, dst}), slices.Contains(b.routes, route{dst, src}):
		return true
	}
	return !b.foreign(src) && !b.foreign(dst)
}

// foreign reports whether an address that was not seen on the viewer's devices may be
// another tenant's.
func (b *builder) foreign(a netip.Addr) bool {
	return b.strict || a.IsValid() && b.viewer.Foreign != nil && b.viewer.Foreign(a)
}

// packet returns what the viewer may see of a packet's headers: the packet itself if that is all.
func (b *builder) packet(p *trace.Packet) *trace.Packet {
	if p != b.packetFrom {
		b.packetFrom, b.packetSeen = p, b.seenOf(p)
	}
	return b.packetSeen
}

func (b *builder) seenOf(p *trace.Packet) *trace.Packet {
	if p == nil {
		return nil
	}
	addresses, tunnel := b.mayShow(p.Src, p.Dst), !p.Encapsulated() || b.mayShowTunnel(p)
	switch {
	case addresses && tunnel:
		return p
	case addresses:
		return &trace.Packet{Src: p.Src, Dst: p.Dst}
	case !p.Encapsulated() || !tunnel:
		return nil
	}
	own := *p
	own.Src, own.Dst = netip.Addr{}, netip.Addr{}
	return &own
}

func (b *builder) mayShowTunnel(p *trace.Packet) bool {
	return slices.Contains(b.tunnels, tunnelOf(p)) || !b.foreign(p.OuterSrc) && !b.foreign(p.OuterDst)
}
