// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"math/rand/v2"
	"net/netip"
)

// Step is one frame that is sent.
type Step struct {
	// End is where it is sent: Guest0, Guest1 or Outside.
	End   int
	Frame []byte
}

// Traffic returns n frames or a few more, always the same for a seed: packets of some flows in
// both directions, many of them odd in one way. The addresses suit rules that translate, or not.
func Traffic(seed uint64, n int, v6, translated bool) []Step {
	r := source{rand.New(rand.NewPCG(seed, 2))}
	var steps []Step
	var flows []*flow
	for len(steps) < n {
		if len(flows) == 0 || r.chance(6) {
			flows = append(flows, newFlow(r, v6, translated, len(flows)))
		}
		// Few of them speak at a time, so that conversations come about.
		f := flows[max(0, len(flows)-1-r.IntN(4))]
		steps = append(steps, f.steps(r)...)
	}
	return steps
}

// steps returns the frames of one packet of the flow.
func (f *flow) steps(r source) []Step {
	out := r.IntN(5) < 3 || !f.mayAnswer()
	f.asked = f.asked || out
	from := f.outside
	if out {
		from = f.inside
	}
	p := f.packet(r, out)
	if r.chance(25) {
		q := f.quote(r, f.packet(r, !out))
		if !out || r.chance(4) {
			p = q
		}
	}
	dst := gateway(from)
	if f.outside != Outside && !r.chance(4) {
		dst = ports[f.outside+f.inside-from].far // over the bridge, straight to the other
	}
	if r.chance(40) {
		dst = pick(r, []string{"02:00:00:00:09:09", "ff:ff:ff:ff:ff:ff", bridgeMAC, ports[Guest0].mac})
	}
	if p.dst.IsMulticast() {
		dst = "01:00:5e:00:00:05"
	}
	var steps []Step
	for _, packet := range variants(r, p) {
		var vlan uint16
		if r.chance(50) {
			vlan = uint16(r.IntN(3))
		}
		steps = append(steps, Step{End: from, Frame: frame(dst, ports[from].far, vlan, packet)})
	}
	return steps
}

// gateway is the hypervisor's MAC address for what is to be routed.
func gateway(end int) string {
	if end == Outside {
		return ports[Outside].mac
	}
	return bridgeMAC
}

// variants returns the packet as it is, or with something odd about it, or in pieces.
func variants(r source, p *ip) [][]byte {
	switch r.IntN(28) {
	case 0:
		return pieces(r, p)
	case 1:
		p.options = []byte{1, 1, 1, 0} // no operations, and the end of options
		if !p.src.Is4() {
			p.next, p.options = pick(r, []uint8{0, 60}), []byte{p.proto, 0, 1, 4, 0, 0, 0, 0}
		}
	case 2: // cut off in the header above IP
		p.payload = p.payload[:min(len(p.payload), pick(r, []int{0, 1, 3, 4, 7, 8, 12, 13, 19}))]
	case 3:
		p.badSum = true
	case 4:
		if len(p.payload) > 19 {
			p.payload[len(p.payload)-1] ^= 0x5a // so that the checksum is wrong
		}
	case 5:
		p.ttl = pick(r, []uint8{0, 1, 2, 3})
	case 6:
		p.short = 1 + r.IntN(40)
	case 7: // too long for a route
		p.payload = append(p.payload, make([]byte, 700)...)
		p.fragment = pick(r, []uint16{0, 0x4000})
	case 8: // bytes after the packet, as padding is
		return [][]byte{append(p.bytes(), make([]byte, 1+r.IntN(20))...)}
	case 9:
		p.src = netip.MustParseAddr(pick(r, map[bool][]string{true: odd4, false: odd6}[p.src.Is4()]))
	case 10:
		p.fragment = 0x8000 // IPv4's reserved bit
	}
	return [][]byte{p.bytes()}
}

// pieces cuts the packet into fragments, which may come in any order, twice, or not all.
func pieces(r source, p *ip) [][]byte {
	cut := 8 * (1 + r.IntN(max(1, len(p.payload)/8)))
	if cut >= len(p.payload) {
		p.fragmented, p.fragment = true, 0 // whole, with a fragment header if it is IPv6
		return [][]byte{p.bytes()}
	}
	a, b := *p, *p
	a.payload, b.payload = p.payload[:cut], p.payload[cut:]
	a.fragmented, b.fragmented = true, true
	if p.src.Is4() {
		a.fragment, b.fragment = 0x2000, uint16(cut/8)
	} else {
		a.fragment, b.fragment = 1, uint16(cut)
	}
	switch r.IntN(8) {
	case 0:
		return [][]byte{b.bytes(), a.bytes()}
	case 1:
		return [][]byte{a.bytes()}
	case 2:
		return [][]byte{b.bytes()}
	}
	return [][]byte{a.bytes(), b.bytes()}
}
