// SPDX-License-Identifier: Apache-2.0

package header

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// AddressWords returns an address as the four words of [Src0] or [Dst0] and the next three.
func AddressWords(a netip.Addr) [4]uint32 {
	if a.Is4() {
		four := a.As4()
		return [4]uint32{binary.BigEndian.Uint32(four[:])}
	}
	var words [4]uint32
	sixteen := a.As16()
	for i := range words {
		words[i] = binary.BigEndian.Uint32(sixteen[4*i:])
	}
	return words
}

// SetAddress makes the four words from first on, which is [Src0] or [Dst0], those of an address.
func (p *Packet) SetAddress(first Word, a netip.Addr) {
	words := AddressWords(a)
	copy(p.Words[first:first+4], words[:])
}

// Address returns the address of the four words from first on.
func (p *Packet) Address(first Word) netip.Addr {
	var b [16]byte
	for i := range 4 {
		binary.BigEndian.PutUint32(b[4*i:], p.Words[int(first)+i])
	}
	if p.Family == V4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// Prefix returns the packets whose address, in the four words from first on ([Src0] or [Dst0]), is in
// the prefix. It does not say that they are of the prefix's family.
func Prefix(first Word, p netip.Prefix) Box {
	var box Box
	words, bits := AddressWords(p.Masked().Addr()), p.Bits()
	for i := 0; bits > 0; i++ {
		host := uint32(math.MaxUint32)
		if bits < 32 {
			host >>= bits
		} else {
			host = 0
		}
		box[int(first)+i] = Set{{words[i], words[i] | host}}
		bits -= 32
	}
	return box
}

// AddressRange returns the packets whose address, in the four words from first on ([Src0] or [Dst0]),
// is from lo to hi, both included and of one family. There are at most seven boxes, of which no
// two have a packet in common, and none if lo is greater than hi.
func AddressRange(first Word, lo, hi netip.Addr) []Box {
	if hi.Less(lo) {
		return nil
	}
	if lo.Is4() {
		var box Box
		box[first] = Set{{AddressWords(lo)[0], AddressWords(hi)[0]}}
		return []Box{box}
	}
	from, to := AddressWords(lo), AddressWords(hi)
	return wordRange(first, Box{}, from[:], to[:])
}

// wordRange returns the part of the box whose words from w on are from lo to hi, as one number.
func wordRange(w Word, in Box, lo, hi []uint32) []Box {
	if len(lo) == 0 {
		return []Box{in}
	}
	if lo[0] == hi[0] {
		in[w] = Set{{lo[0], lo[0]}}
		return wordRange(w+1, in, lo[1:], hi[1:])
	}
	var boxes []Box
	middle := Interval{lo[0], hi[0]}
	if !same(lo[1:], 0) {
		edge := in
		edge[w] = Set{{lo[0], lo[0]}}
		boxes = append(boxes, wordRange(w+1, edge, lo[1:], full(len(lo)-1, math.MaxUint32))...)
		middle.Lo++
	}
	lastWhole := same(hi[1:], math.MaxUint32)
	if !lastWhole {
		middle.Hi--
	}
	if middle.Lo <= middle.Hi {
		whole := in
		whole[w] = Set{middle}
		boxes = append(boxes, whole)
	}
	if !lastWhole {
		edge := in
		edge[w] = Set{{hi[0], hi[0]}}
		boxes = append(boxes, wordRange(w+1, edge, full(len(hi)-1, 0), hi[1:])...)
	}
	return boxes
}

func same(words []uint32, as uint32) bool {
	for _, w := range words {
		if w != as {
			return false
		}
	}
	return true
}

func full(n int, of uint32) []uint32 {
	words := make([]uint32, n)
	for i := range words {
		words[i] = of
	}
	return words
}
