// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"net"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Rewrite is a packet as the fast path sent it on: [event.Rewrite].
type Rewrite struct {
	// Src and Dst are the echo's own addresses.
	Src string `json:"src"`
	Dst string `json:"dst"`
	ID  uint16 `json:"id"`
	TTL uint8  `json:"ttl"`
	// SrcMAC and DstMAC are the frame's, missing where the kernel's table of neighbours gave them.
	SrcMAC string `json:"src_mac,omitempty"`
	DstMAC string `json:"dst_mac,omitempty"`
	// Tunnel is "encapsulated" or "decapsulated" if the headers of a tunnel were put before
	// the packet, or taken from it.
	Tunnel string `json:"tunnel,omitempty"`
	// Lease is for how long the flow was still believed, in milliseconds.
	Lease uint32 `json:"lease_ms"`
	// Peer is where it arrived at once, if it was given to the other end of a pair.
	Peer *Place `json:"peer,omitempty"`
}

// rewriteOf describes what a packet became, or returns nil if that is not known.
func rewriteOf(r *event.Rewrite, names correlate.Resolver) *Rewrite {
	if *r == (event.Rewrite{}) {
		return nil
	}
	o := &Rewrite{
		Src: r.Src.Addr().String(), Dst: r.Dst.Addr().String(), ID: r.ID, TTL: r.TTL, Lease: r.LeaseMilliseconds,
	}
	if !r.Flags.Has(event.RewriteNextHop) {
		o.SrcMAC, o.DstMAC = net.HardwareAddr(r.From[:]).String(), net.HardwareAddr(r.To[:]).String()
	}
	switch {
	case r.Flags.Has(event.RewriteEncapsulated):
		o.Tunnel = "encapsulated"
	case r.Flags.Has(event.RewriteDecapsulated):
		o.Tunnel = "decapsulated"
	}
	if r.Peer != (event.Place{}) {
		o.Peer = placeOf(r.Peer, names)
	}
	return o
}
