// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"net/netip"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
)

// Step is one frame that is sent.
type Step struct {
	// End is where it is sent: Guest0 and so on.
	End   int
	Frame wire.Frame
}

// Traffic returns n frames or a few more, always the same for a seed: packets of some flows in both
// directions, some of them odd in one way.
func (s *Spec) Traffic(seed uint64, n int) []Step {
	r := newSource(seed, 1)
	var flows []*speech
	var steps []Step
	for len(steps) < n {
		// Few speak at a time, and for long, so that there is something to be learnt of each.
		if len(flows) == 0 || len(flows) < maxFlows && len(steps) > len(flows)*150 {
			flows = append(flows, newSpeech(r, s, len(flows)))
		}
		f := flows[max(0, len(flows)-1-r.IntN(4))]
		from := r.IntN(2)
		for range 1 + r.IntN(3) {
			next := f.next
			p := f.step(r, from)
			if f.sent > 4 && r.chance(15) { // the first ones show how addresses are translated
				steps = append(steps, f.odd(r, p)...)
				f.next = next // it may be lost, and then nobody answers it
			} else {
				steps = append(steps, s.steps(p, p.Bytes(), 0)...)
			}
		}
	}
	return steps
}

// steps returns the frame of a packet whose bytes may be others by now.
func (s *Spec) steps(p *packet, b []byte, vlan uint16) []Step {
	o := p.offload(14)
	if vlan != 0 {
		o = p.offload(18)
	}
	return []Step{s.wrap(p.from.end, wire.Frame{Bytes: frame.Ethernet(p.from.dstMAC, p.from.srcMAC, vlan, b), Offload: o})}
}

// wrap puts what comes from outside into the tunnel, if there is one. The tunnel's checksum is 0, and
// nobody can have left the inner one to the device.
func (s *Spec) wrap(end int, f wire.Frame) Step {
	if end != Outside || s.Overlay == Plain {
		return Step{end, f}
	}
	outer := frame.IP{
		Src: netip.MustParseAddr(router4), Dst: netip.MustParseAddr(uplink4), Proto: frame.UDP, TTL: 60,
		Payload: frame.VXLAN(50000, vni, completed(f)),
	}
	return Step{end, wire.Frame{Bytes: frame.Ethernet(frame.MAC(ports[Outside].mac), frame.MAC(ports[Outside].far), 0, outer.Bytes())}}
}

// completed returns the frame as a device sends it, with its checksum filled in.
func completed(f wire.Frame) []byte {
	if f.Offload.Flags&wire.NeedsSum == 0 {
		return f.Bytes
	}
	start := int(f.Offload.SumStart)
	at := start + int(f.Offload.SumOffset)
	sum := frame.Checksum(f.Bytes[start:], 0)
	if sum == 0 {
		sum = 0xffff
	}
	f.Bytes[at], f.Bytes[at+1] = byte(sum>>8), byte(sum)
	return f.Bytes
}
