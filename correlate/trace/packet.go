// SPDX-License-Identifier: Apache-2.0

package trace

import "net/netip"

// Packet is what the echo's headers said at the beginning of a span. Most spans have the packet of
// the one before, and those of one program's pings have the same again and again. They share it:
// once it is in a span, nobody changes it any more. Its methods work for nil, too, which says
// that nothing is known.
type Packet struct {
	Src, Dst netip.Addr
	// OuterSrc and OuterDst are the outermost tunnel's addresses, invalid if there is none or
	// if it has none.
	OuterSrc, OuterDst netip.Addr
	// Tunnel is the type of the outermost tunnel, or "".
	Tunnel string
	// TunnelID is the number that distinguishes the tunnel from others of its type: a VNI, a
	// key, a label.
	TunnelID uint32
	// Depth is how many tunnels there are, one in the other.
	Depth uint8
}

// Encapsulated reports whether the echo was inside a tunnel packet.
func (p *Packet) Encapsulated() bool { return p != nil && p.Tunnel != "" }

// Addresses returns the echo's own addresses, which are invalid if they are not known.
func (p *Packet) Addresses() (src, dst netip.Addr) {
	if p == nil {
		return netip.Addr{}, netip.Addr{}
	}
	return p.Src, p.Dst
}
