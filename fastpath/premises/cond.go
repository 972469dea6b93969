// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// cmp reads a comparison. Only equality limits anything; what else is compared may hold.
func (r *nftReader) cmp(at attributes) {
	v, known := r.regs[register(at[unix.NFTA_CMP_SREG])]
	data := parse(at[unix.NFTA_CMP_DATA])[unix.NFTA_DATA_VALUE]
	if !known || len(data) == 0 {
		return
	}
	r.readsMark(v, data)
	switch number(at[unix.NFTA_CMP_OP]) {
	case unix.NFT_CMP_EQ:
		r.equals(v, data)
	case unix.NFT_CMP_GTE:
		r.portIn(v, data, []byte{0xff, 0xff})
	case unix.NFT_CMP_LTE:
		r.portIn(v, []byte{0, 0}, data)
	}
}

// equals reads that a value is some data.
func (r *nftReader) equals(v value, data []byte) {
	var c cond
	switch v.from {
	case fromMeta:
		c = metaIs(v, data)
	case fromPayload:
		c = r.payloadIs(v, data)
	case fromFIB:
		if v.key == fibAddrType<<16|fibDaddr && !v.masked && len(data) == 4 && binary.NativeEndian.Uint32(data) == addrLocal {
			c = func(v *view) []header.Box { return v.local }
		}
	}
	if c != nil {
		r.conds = append(r.conds, c)
	}
}

// readsMark notes which bits of a mark are asked for.
func (r *nftReader) readsMark(v value, data []byte) {
	mark := v.from == fromMeta && v.key == unix.NFT_META_MARK || v.from == fromCT && v.key == unix.NFT_CT_MARK
	if !mark || len(data) != 4 {
		return
	}
	mask := ^uint32(0)
	if len(v.mask) == 4 {
		mask = binary.NativeEndian.Uint32(v.mask)
	}
	r.uses(binary.NativeEndian.Uint32(data), mask)
}

// metaIs is a comparison with what nft calls meta, or nil if it does not limit packets here.
func metaIs(v value, data []byte) cond {
	if v.masked {
		return nil
	}
	switch v.key {
	case unix.NFT_META_IIFNAME, unix.NFT_META_BRI_IIFNAME:
		return comesFrom(data)
	case unix.NFT_META_IIF:
		if len(data) == 4 {
			return func(v *view) []header.Box { return yes(v.index[binary.NativeEndian.Uint32(data)]) }
		}
	case unix.NFT_META_NFPROTO:
		return ofFamily(data[0] == unix.NFPROTO_IPV4, data[0] == unix.NFPROTO_IPV6)
	case unix.NFT_META_PROTOCOL:
		if len(data) == 2 {
			protocol := binary.BigEndian.Uint16(data)
			return ofFamily(protocol == unix.ETH_P_IP, protocol == unix.ETH_P_IPV6)
		}
	case unix.NFT_META_L4PROTO:
		return has(header.Proto, uint32(data[0]))
	}
	return nil
}

func yes(b bool) []header.Box {
	if b {
		return everything()
	}
	return nil
}

func ofFamily(v4, v6 bool) cond {
	return func(v *view) []header.Box { return yes(v.family == header.V4 && v4 || v.family == header.V6 && v6) }
}

// has is that a word has a value.
func has(w header.Word, n uint32) cond {
	var b header.Box
	b[w] = header.Values(n)
	return func(*view) []header.Box { return []header.Box{b} }
}

// comesFrom is that a packet came from a device of a name, or of a name that begins so.
func comesFrom(data []byte) cond {
	name, _, whole := strings.Cut(string(data), "\x00")
	return func(v *view) []header.Box {
		if whole || len(data) == unix.IFNAMSIZ {
			return yes(v.names[name])
		}
		for own := range v.names {
			if strings.HasPrefix(own, name) {
				return everything()
			}
		}
		return nil
	}
}

// payloadIs is a comparison with bytes of the packet, or nil.
func (r *nftReader) payloadIs(v value, data []byte) cond {
	switch v.base {
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		return r.networkIs(v, data)
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		if v.masked || len(data) != 2 {
			return nil
		}
		switch v.offset {
		case 0:
			return has(header.Sport, uint32(binary.BigEndian.Uint16(data)))
		case 2:
			return has(header.Dport, uint32(binary.BigEndian.Uint16(data)))
		}
	}
	return nil
}

// span reads a comparison with a range.
func (r *nftReader) span(at attributes) {
	if number(at[unix.NFTA_RANGE_OP]) == unix.NFT_RANGE_EQ {
		r.portIn(r.regs[register(at[unix.NFTA_RANGE_SREG])],
			parse(at[unix.NFTA_RANGE_FROM_DATA])[unix.NFTA_DATA_VALUE], parse(at[unix.NFTA_RANGE_TO_DATA])[unix.NFTA_DATA_VALUE])
	}
}

// portIn reads that a value is in a range, which only matters for ports.
func (r *nftReader) portIn(v value, lo, hi []byte) {
	if v.from != fromPayload || v.base != unix.NFT_PAYLOAD_TRANSPORT_HEADER || v.masked || len(lo) != 2 || len(hi) != 2 {
		return
	}
	var b header.Box
	ports := header.Range(uint32(binary.BigEndian.Uint16(lo)), uint32(binary.BigEndian.Uint16(hi)))
	switch v.offset {
	case 0:
		b[header.Sport] = ports
	case 2:
		b[header.Dport] = ports
	}
	r.conds = append(r.conds, func(*view) []header.Box { return []header.Box{b} })
}

// networkIs is a comparison with an address or the protocol. In tables of both families it
// depends on the packet's which of them it is.
func (r *nftReader) networkIs(v value, data []byte) cond {
	length := prefixLength(v, len(data))
	if length < 0 {
		return nil
	}
	return func(w *view) []header.Box {
		var first header.Word
		size := 16
		switch {
		case w.family == header.V4 && v.offset == 12:
			first, size = header.Src0, 4
		case w.family == header.V4 && v.offset == 16:
			first, size = header.Dst0, 4
		case w.family == header.V6 && v.offset == 8:
			first = header.Src0
		case w.family == header.V6 && v.offset == 24:
			first = header.Dst0
		case w.family == header.V4 && v.offset == 9 && len(data) == 1 && !v.masked:
			return has(header.Proto, uint32(data[0]))(w)
		default:
			return everything()
		}
		if len(data) > size {
			return everything()
		}
		addr, _ := netip.AddrFromSlice(append(data[:len(data):len(data)], make([]byte, size-len(data))...))
		return []header.Box{header.Prefix(first, netip.PrefixFrom(addr, length))}
	}
}

// prefixLength returns how many bits are compared, or -1 if they are not the first ones.
func prefixLength(v value, size int) int {
	if !v.masked {
		return size * 8
	}
	for _, x := range v.xor {
		if x != 0 {
			return -1
		}
	}
	if len(v.mask) != size {
		return -1
	}
	ones, ended := 0, false
	for _, m := range v.mask {
		n := bits.LeadingZeros8(^m)
		if ended && m != 0 || bits.OnesCount8(m) != n {
			return -1
		}
		ones += n
		ended = ended || n < 8
	}
	return ones
}
