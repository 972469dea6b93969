// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// within is what a register is compared with: values from lo to hi, as bytes of one length, or with not
// the others.
type within struct {
	lo, hi []byte
	not    bool
}

func (c *within) holds(x []byte) bool {
	return (bytes.Compare(c.lo, x) <= 0 && bytes.Compare(x, c.hi) <= 0) != c.not
}

// compare reads a comparison.
func (f *flowReader) compare(o operand, op uint32, data []byte) {
	c := within{lo: data, hi: data}
	switch op {
	case unix.NFT_CMP_EQ:
	case unix.NFT_CMP_NEQ:
		c.not = true
	case unix.NFT_CMP_LT, unix.NFT_CMP_GTE:
		c.hi, c.not = bytes.Repeat([]byte{0xff}, len(data)), op == unix.NFT_CMP_LT
	case unix.NFT_CMP_LTE, unix.NFT_CMP_GT:
		c.lo, c.not = make([]byte, len(data)), op == unix.NFT_CMP_GT
	default:
		f.mayMeet("has a comparison that is not known")
		return
	}
	f.is(o, &c)
}

// span reads a comparison with a range.
func (f *flowReader) span(at attributes) {
	c := within{
		lo: parse(at[unix.NFTA_RANGE_FROM_DATA])[unix.NFTA_DATA_VALUE], hi: parse(at[unix.NFTA_RANGE_TO_DATA])[unix.NFTA_DATA_VALUE],
		not: number(at[unix.NFTA_RANGE_OP]) != unix.NFT_RANGE_EQ,
	}
	f.is(f.get(at[unix.NFTA_RANGE_SREG]), &c)
}

// is adds the condition that what is in a register is as c says.
func (f *flowReader) is(o operand, c *within) {
	if len(c.lo) != len(c.hi) || len(c.lo) == 0 {
		f.mayMeet("has a comparison that is not known")
		return
	}
	if o.varies == "" {
		if boxes, known := f.boxes(o, c); known {
			f.meets(boxes)
			return
		}
		f.named(o, c)
	}
	o.varies = f.variesAtAll(o)
	f.looksAt(o)
}

// named notes by which device packets come or go.
func (f *flowReader) named(o operand, c *within) {
	if o.from != fromMeta || o.masked || c.not || !bytes.Equal(c.lo, c.hi) {
		return
	}
	name, _, whole := strings.Cut(string(c.lo), "\x00")
	if !whole && len(c.lo) < unix.IFNAMSIZ {
		name += "+"
	}
	switch o.key {
	case unix.NFT_META_IIFNAME, unix.NFT_META_BRI_IIFNAME:
		f.note.In = append(f.note.In, name)
	case unix.NFT_META_OIFNAME, unix.NFT_META_BRI_OIFNAME:
		f.note.Out = append(f.note.Out, name)
	}
}

// boxes returns the packets that meet the condition exactly, if they can be told from a packet's words.
func (f *flowReader) boxes(o operand, c *within) ([]header.Box, bool) {
	if w, encode := f.small(o); encode != nil {
		return enumerated(w, encode, &o, c)
	}
	if fixed := f.familys(o); fixed != nil {
		x, ok := o.apply(fixed, len(c.lo))
		if !ok {
			return nil, false
		}
		return yes(c.holds(x)), true
	}
	if w, more := f.wide(o); w != header.Words && !o.masked && len(c.lo) == 2 {
		set := header.Range(uint32(binary.BigEndian.Uint16(c.lo))+more, uint32(binary.BigEndian.Uint16(c.hi))+more)
		if c.not {
			set = set.Complement(w.Max())
		}
		return []header.Box{header.Box{}.With(w, set)}, true
	}
	return f.addresses(o, c)
}

// apply is what a register has after what was done to a value; false if that is not known.
func (o *operand) apply(x []byte, size int) ([]byte, bool) {
	if o.masked {
		if len(o.mask) != len(x) || len(o.xor) != len(x) {
			return nil, false
		}
		for i := range x {
			x[i] = x[i]&o.mask[i] ^ o.xor[i]
		}
	}
	return x, size == len(x)
}

// enumerated returns the packets of which a small word meets the condition.
func enumerated(w header.Word, encode func(uint32) []byte, o *operand, c *within) ([]header.Box, bool) {
	if !o.masked && len(c.lo) == 1 && w != header.Sport {
		return in(w, header.Range(uint32(c.lo[0]), uint32(c.hi[0])), c.not), true
	}
	var values []header.Interval
	most := w.Max()
	if w == header.Sport {
		most = 0xff // types of ICMP
	}
	for v := range most + 1 {
		x, ok := o.apply(encode(v), len(c.lo))
		if !ok {
			return nil, false
		}
		if !c.holds(x) {
			continue
		}
		if w == header.Sport {
			values = append(values, header.Interval{Lo: v << 8, Hi: v<<8 | 0xff})
		} else {
			values = append(values, header.Interval{Lo: v, Hi: v})
		}
	}
	return []header.Box{header.Box{}.With(w, header.SetOf(values...))}, true
}

// small returns the word of which a register is made, if it has few values, and how.
func (f *flowReader) small(o operand) (header.Word, func(uint32) []byte) {
	one := func(v uint32) []byte { return []byte{byte(v)} }
	switch {
	case o.from == fromMeta && o.key == unix.NFT_META_L4PROTO:
		return header.Proto, one
	case o.from == fromCT && o.key == unix.NFT_CT_STATE:
		return header.State, stateBits
	case o.from == fromPayload && o.base == unix.NFT_PAYLOAD_NETWORK_HEADER && o.key == 1:
		switch {
		case f.family == header.V4 && o.offset == 1:
			return header.TOS, one
		case f.family == header.V4 && o.offset == 9, f.family == header.V6 && o.offset == 6:
			return header.Proto, one
		case f.family == header.V4 && o.offset == 8, f.family == header.V6 && o.offset == 7:
			return header.TTL, one
		}
	case o.from == fromPayload && o.base == unix.NFT_PAYLOAD_NETWORK_HEADER && f.family == header.V6 && o.offset == 0 && o.key == 2:
		if len(o.mask) == 2 && o.mask[1]&0x0f == 0 { // without the flow label
			return header.TOS, func(v uint32) []byte { return []byte{0x60 | byte(v>>4), byte(v << 4)} }
		}
	case o.from == fromPayload && o.base == unix.NFT_PAYLOAD_TRANSPORT_HEADER && o.key == 1:
		switch {
		case o.offset == 13 && f.pinned(header.TCP):
			return header.Flags, one
		case o.offset == 0 && f.pinned(header.ICMP, header.ICMPv6):
			return header.Sport, one
		}
	}
	return 0, nil
}

// stateBits is what nft calls ct state, as enum nf_ct_state_bits has it.
func stateBits(v uint32) []byte {
	bits := map[header.CT]uint32{header.Invalid: 1, header.Established: 2, header.Related: 4, header.New: 8, header.Untracked: 64}
	return binary.NativeEndian.AppendUint32(nil, bits[header.CT(v&7)])
}

// pinned reports whether packets that meet the conditions so far are of these protocols.
func (f *flowReader) pinned(protocols ...uint32) bool {
	for i := range f.rule.Boxes {
		p := f.rule.Boxes[i][header.Proto]
		if p == nil || !p.Subtract(header.Values(protocols...), header.Proto.Max()).Empty() {
			return false
		}
	}
	return true
}

// familys returns what a register has for all packets of the family, or nil.
func (f *flowReader) familys(o operand) []byte {
	v4 := f.family == header.V4
	pick := func(a, b []byte) []byte {
		if v4 {
			return a
		}
		return b
	}
	ether := o.from == fromPayload && o.base == unix.NFT_PAYLOAD_LL_HEADER && o.offset == 12 && o.key == 2
	switch {
	case o.from == fromMeta && o.key == unix.NFT_META_NFPROTO && f.nft != unix.NFPROTO_BRIDGE && f.nft != unix.NFPROTO_NETDEV:
		return pick([]byte{unix.NFPROTO_IPV4}, []byte{unix.NFPROTO_IPV6})
	case o.from == fromMeta && o.key == unix.NFT_META_PROTOCOL, ether:
		return pick([]byte{0x08, 0x00}, []byte{0x86, 0xdd})
	}
	return nil
}

// wide returns the word that a register is, if it has 16 bits, and how much more the word is; or [header.Words].
func (f *flowReader) wide(o operand) (w header.Word, more uint32) {
	if o.from != fromPayload || o.key != 2 {
		return header.Words, 0
	}
	switch o.base {
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		if f.family == header.V4 && o.offset == 2 {
			return header.Length, 0
		}
		if f.family == header.V6 && o.offset == 4 {
			return header.Length, 40
		}
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		if !f.pinned(header.TCP, header.UDP, header.DCCP, header.SCTP, header.UDPLite) {
			return header.Words, 0
		}
		if o.offset == 0 {
			return header.Sport, 0
		}
		if o.offset == 2 {
			return header.Dport, 0
		}
	}
	return header.Words, 0
}

// addresses returns the packets whose address meets the condition.
func (f *flowReader) addresses(o operand, c *within) ([]header.Box, bool) {
	if o.from != fromPayload || o.base != unix.NFT_PAYLOAD_NETWORK_HEADER {
		return nil, false
	}
	size, src, dst := 4, uint32(12), uint32(16)
	if f.family == header.V6 {
		size, src, dst = 16, 8, 24
	}
	first := header.Src0
	if o.offset == dst {
		first = header.Dst0
	}
	if o.offset != src && o.offset != dst || len(c.lo) > size || int(o.key) != len(c.lo) {
		return nil, false
	}
	var boxes []header.Box
	bits := prefixLength(o.value, len(c.lo))
	lo, _ := netip.AddrFromSlice(append(bytes.Clone(c.lo), make([]byte, size-len(c.lo))...))
	hi, _ := netip.AddrFromSlice(append(bytes.Clone(c.hi), bytes.Repeat([]byte{0xff}, size-len(c.hi))...))
	switch {
	case bits < 0:
		return nil, false
	case !o.masked:
		boxes = header.AddressRange(first, lo, hi)
	case lo == netip.PrefixFrom(lo, bits).Masked().Addr() && bytes.Equal(c.lo, c.hi):
		boxes = []header.Box{header.Prefix(first, netip.PrefixFrom(lo, bits))}
	case bytes.Equal(c.lo, c.hi): // bits that are masked are asked for
	default:
		return nil, false
	}
	if c.not {
		boxes = header.ComplementBoxes(boxes)
	}
	return boxes, true
}
