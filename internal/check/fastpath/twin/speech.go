// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"encoding/binary"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
)

// speech is a conversation that goes on.
type speech struct {
	*conversation
	spec *Spec
	tos  uint8
	ttl  [2]uint8
	// label is IPv6's, of which the tunnel's source port is made, too.
	label  uint32
	next   [2]uint32 // TCP's sequence numbers: what each side sends next
	stamps bool
	opened int    // how many of TCP's first three segments were sent
	sent   int    // packets
	seq    uint16 // of echoes
}

func newSpeech(r source, s *Spec, n int) *speech {
	f := &speech{
		conversation: s.converse(r, n), spec: s, stamps: r.chance(2),
		ttl: [2]uint8{pick(r, []uint8{64, 128, 255}), pick(r, []uint8{63, 57, 250})},
	}
	f.next = [2]uint32{r.Uint32(), r.Uint32()}
	f.label = r.Uint32() >> 12
	if r.chance(3) {
		f.tos = pick(r, []uint8{0x10, 0xb8, 0x28})
	}
	return f
}

// packet is what a side sends next, with what is left to the device to do.
type packet struct {
	frame.IP
	from *side
	// partial: the checksum is left to the device. size is the length of segments, or 0.
	partial bool
	size    int
}

// step returns a packet of the flow, mostly of one side.
func (f *speech) step(r source, from int) *packet {
	if f.proto == frame.TCP && f.opened < 3 {
		from = f.opened % 2
	}
	if f.sent == 0 {
		from = 0
	}
	f.sent++
	s := &f.sides[from]
	p := &packet{from: s, IP: frame.IP{
		Src: s.src, Dst: s.dst, Proto: f.proto, TTL: f.ttl[from], TOS: f.tos, ID: uint16(r.Uint32()), Label: f.label,
	}}
	if r.chance(200) {
		p.Label = r.Uint32() >> 12
	}
	if r.chance(3) {
		p.Fragment = 0x4000 // must not be cut
	}
	if r.chance(5) {
		p.TTL = uint8(3 + r.IntN(253))
	}
	if r.chance(6) {
		p.TOS |= uint8(r.IntN(4)) // ECN
	}
	switch f.proto {
	case frame.TCP:
		f.segment(r, p, from)
	case frame.UDP:
		f.datagram(r, p)
	default:
		f.message(r, p, from)
	}
	return p
}

// sizeOf chooses how many bytes of data a packet has, at most the most that fit.
func (f *speech) sizeOf(r source, headers int) int {
	most := f.spec.room() - headers
	if r.chance(3) {
		return r.IntN(most + 1)
	}
	return min(most, pick(r, []int{0, 1, 8, 17, 56, 200, 701, 1200, 1400, most}))
}

func (f *speech) segment(r source, p *packet, from int) {
	s := frame.Segment{Sport: p.from.sport, Dport: p.from.dport, Seq: f.next[from], Ack: f.next[1-from], Flags: frame.ACK, Window: uint16(0x4000 + r.IntN(0x4000))}
	if f.opened < 3 {
		s.Flags = []uint8{frame.SYN, frame.SYN | frame.ACK, frame.ACK}[f.opened]
		if f.opened == 0 {
			s.Ack = 0
		}
		if f.opened < 2 {
			s.Options = []byte{2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 1, 1}
			f.next[from]++
		}
		f.opened++
		p.Payload = s.Bytes()
	} else {
		if f.stamps {
			s.Options = binary.BigEndian.AppendUint32([]byte{1, 1, 8, 10}, r.Uint32())
			s.Options = binary.BigEndian.AppendUint32(s.Options, r.Uint32())
		}
		if r.chance(3) {
			s.Flags |= frame.PSH
		}
		if r.chance(20) {
			s.Flags |= pick(r, []uint8{frame.ECE, frame.CWR, frame.URG})
		}
		f.fill(r, p, p.HeaderLen()+20+len(s.Options), func(data []byte) {
			s.Data = data
			p.Payload = s.Bytes()
		})
		f.next[from] += uint32(len(s.Data))
	}
	f.finish(r, p)
}

func (f *speech) datagram(r source, p *packet) {
	f.fill(r, p, p.HeaderLen()+8, func(data []byte) { p.Payload = frame.Datagram(p.from.sport, p.from.dport, data) })
	f.finish(r, p)
}

// fill puts data into a packet, so much that the device must cut it now and then.
func (f *speech) fill(r source, p *packet, headers int, put func(data []byte)) {
	// What is in a tunnel comes in segments.
	if p.from.end == Outside && f.spec.Overlay != Plain || !r.chance(6) {
		put(r.bytes(f.sizeOf(r, headers)))
		return
	}
	most := f.spec.room() - headers
	p.size, p.partial = pick(r, []int{most, most, min(most, 536), min(most, 1300)}), true
	put(r.bytes(p.size + 1 + r.IntN(min(8*p.size, 60000-p.size-headers))))
}

// finish fills in the checksum, or leaves it to the device.
func (f *speech) finish(r source, p *packet) {
	switch {
	case p.size > 0 || r.chance(3):
		p.partial = true
		frame.PartialSum(p.Src, p.Dst, p.Proto, p.Payload)
	case p.Proto == frame.UDP && !p.V6() && r.chance(6):
		p.Payload[frame.UDPSumAt], p.Payload[frame.UDPSumAt+1] = 0, 0
	default:
		frame.Sum(p.Src, p.Dst, p.Proto, p.Payload)
	}
}

func (f *speech) message(r source, p *packet, from int) {
	request, answer := uint8(8), uint8(0)
	if p.V6() {
		request, answer = 128, 129
	}
	typ := request
	if from == 1 {
		typ = answer
	} else {
		f.seq++
	}
	p.Payload = frame.Message(typ, 0, p.from.sport, f.seq, r.bytes(f.sizeOf(r, p.HeaderLen()+8)))
	frame.Sum(p.Src, p.Dst, p.Proto, p.Payload)
}

// offload says what is left to the device in a frame of which so many bytes are before the IP packet.
func (p *packet) offload(before int) wire.Offload {
	if !p.partial {
		return wire.Offload{}
	}
	start := before + p.HeaderLen()
	o := wire.Offload{Flags: wire.NeedsSum, SumStart: uint16(start), SumOffset: uint16(frame.SumAt(p.Proto))}
	transport := 8
	if p.Proto == frame.TCP {
		transport = int(p.Payload[12]>>4) * 4
	}
	o.HeaderLen = uint16(start + transport)
	if p.size == 0 {
		return o
	}
	o.Size = uint16(p.size)
	switch {
	case p.Proto == frame.UDP:
		o.GSO = wire.GSOUDP
	case p.V6():
		o.GSO = wire.GSOTCPv6
	default:
		o.GSO = wire.GSOTCPv4
	}
	if p.Proto == frame.TCP && p.Payload[13]&frame.CWR != 0 {
		o.GSO |= wire.GSOWithECN
	}
	return o
}
