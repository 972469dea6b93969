// SPDX-License-Identifier: Apache-2.0

package approval

import (
	"encoding/binary"
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
)

// tunnel asks the rules of others about the packets in which the flow's are sent or have come.
//
// For these the kernel tracks connections of their own, that nobody answers: what it says of them may be
// anything, but stays the same.
func (d *direction) tunnel() string {
	r := &d.flow.Rewrite
	if !r.Decapsulated && len(r.Outer) == 0 {
		return ""
	}
	family, t, tos, ok := outerOf(r.Outer)
	if !ok {
		return "the headers of its tunnel are not understood"
	}
	paths := d.paths[pathKey{family, outer}]
	for i := range paths {
		p := &paths[i]
		if p.layer == premises.OfIP && !passes(p.point, r.Decapsulated) || !d.on(p.devices) {
			continue
		}
		for _, state := range statesOf(outer) {
			b := packetsOf(family, t, tos, []uint32{state})
			if t.Sport == 0 {
				b[header.Sport] = nil
			}
			if why := d.ask(p, &b); why != "" {
				return why + " (of the tunnel's packets)"
			}
		}
	}
	return ""
}

// passes reports whether packets of a tunnel that ends here pass the point.
func passes(p premises.Point, arriving bool) bool {
	switch p {
	case premises.Prerouting, premises.Input:
		return arriving
	case premises.Output, premises.Postrouting:
		return !arriving
	}
	return true
}

// outerOf reads Ethernet, IP and UDP headers.
func outerOf(b []byte) (family header.Family, t flow.Tuple, tos uint8, ok bool) {
	const ethernet, ip4, ip6, ports = 14, 20, 40, 4
	if len(b) < ethernet {
		return 0, t, 0, false
	}
	kind, b := binary.BigEndian.Uint16(b[12:]), b[ethernet:]
	size := ip4
	switch {
	case kind == 0x0800 && len(b) >= ip4+ports && b[0] == 0x45:
		family, tos, t.Proto = header.V4, b[1], b[9]
		t.Src, t.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	case kind == 0x86dd && len(b) >= ip6+ports && b[0]>>4 == 6:
		family, tos, t.Proto, size = header.V6, b[0]<<4|b[1]>>4, b[6], ip6
		t.Src, t.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	default:
		return 0, t, 0, false
	}
	t.Sport, t.Dport = binary.BigEndian.Uint16(b[size:]), binary.BigEndian.Uint16(b[size+2:])
	return family, t, tos, t.Proto == header.UDP
}
