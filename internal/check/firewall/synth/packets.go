// SPDX-License-Identifier: Apache-2.0

package synth

import (
	"math/rand/v2"
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Packets returns n packets for rules: half of them are at a corner of a rule, or beside
// it, and the others have such words of several rules.
func Packets(r *Rules, n int, seed uint64) []header.Packet {
	g := rand.New(rand.NewPCG(seed, 1))
	boxes := make([]header.Box, len(r.List))
	for i := range r.List {
		boxes[i] = r.List[i].Box()
	}
	packets := make([]header.Packet, n)
	for i := range packets {
		packets[i] = draw(g, r.Family, boxes, i%2 == 0)
	}
	return packets
}

func draw(g *rand.Rand, f header.Family, boxes []header.Box, one bool) header.Packet {
	p := Plain(f)
	b := &boxes[g.IntN(len(boxes))]
	for w := range header.Words {
		if !one {
			b = &boxes[g.IntN(len(boxes))]
		}
		if s := b[w]; len(s) > 0 {
			in := s[g.IntN(len(s))]
			p.Words[w] = in.Lo
			switch at := g.IntN(8); {
			case at < 3:
				p.Words[w] = in.Hi
			case at == 3:
				p.Words[w] = min(in.Hi, w.Max()-1) + 1
			case at == 4:
				p.Words[w] = max(in.Lo, 1) - 1
			}
		}
	}
	if proto := p.Words[header.Proto]; proto != header.TCP && proto != header.UDP {
		p.Words[header.Sport], p.Words[header.Dport], p.Words[header.Flags] = 0, 0, 0
	}
	all := header.States()
	p.Words[header.State] = all[g.IntN(len(all))]
	return p
}

// Plain returns a packet of a new connection that no rule of [Never] matches.
func Plain(f header.Family) header.Packet {
	p := header.Packet{Family: f}
	p.Words = [header.Words]uint32{
		header.Proto: header.TCP, header.Sport: 40000, header.Dport: 5001, header.Flags: 0x02,
		header.Length: 60, header.TTL: 63, header.State: header.StateOf(header.New, 0), header.Origin: header.From,
	}
	from, to := netip.AddrFrom4([4]byte{10, 0, 0, 2}), netip.AddrFrom4([4]byte{192, 0, 2, 1})
	if f == header.V6 {
		from, to = address6(from), address6(to)
	}
	p.SetAddress(header.Src0, from)
	p.SetAddress(header.Dst0, to)
	return p
}
