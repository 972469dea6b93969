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

func tunnelOf(p trace.Packet) tunnel {
	return tunnel{p.OuterSrc, p.OuterDst, p.Tunnel, p.TunnelID, p.Depth}
}

// learnAddresses notes which addresses and tunnels were seen on the viewer's own devices: the
// viewer could have seen them there itself. Within the stack of a namespace NAT may already
// have put in another's, so what is seen there does not count.
func (b *builder) learnAddresses() {
	for i := range b.from.Spans {
		s := &b.from.Spans[i]
		if i == 0 || s.Kind.Journey() || s.Kind.Finer() || b.beginsAt(s) != own {
			continue
		}
		for _, a := range [...]netip.Addr{s.Packet.Src, s.Packet.Dst} {
			if a.IsValid() && !slices.Contains(b.addresses, a) {
				b.addresses = append(b.addresses, a)
			}
		}
		if tun := tunnelOf(s.Packet); s.Packet.Encapsulated() && !slices.Contains(b.tunnels, tun) {
			b.tunnels = append(b.tunnels, tun)
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

// mayShow reports whether the viewer may see an address. In a ping that another tenant takes
// part in, it may only see those that it has seen anyway.
func (b *builder) mayShow(a netip.Addr) bool {
	switch {
	case !a.IsValid() || slices.Contains(b.addresses, a):
		return true
	case b.strict:
		return false
	}
	return b.viewer.Foreign == nil || !b.viewer.Foreign(a)
}

// packet returns what the viewer may see of a packet's headers.
func (b *builder) packet(p trace.Packet) trace.Packet {
	if !b.mayShow(p.Src) || !b.mayShow(p.Dst) {
		p.Src, p.Dst = netip.Addr{}, netip.Addr{}
	}
	if p.Encapsulated() && !b.mayShowTunnel(p) {
		p = trace.Packet{Src: p.Src, Dst: p.Dst}
	}
	return p
}

func (b *builder) mayShowTunnel(p trace.Packet) bool {
	if slices.Contains(b.tunnels, tunnelOf(p)) {
		return true
	}
	return !b.strict && b.mayShow(p.OuterSrc) && b.mayShow(p.OuterDst)
}
