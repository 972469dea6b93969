// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The values that are tried: ends of what the sets of these tests can have, and what is beside them.
func points() []uint32 { return []uint32{0, 1, 2, 3, 4, 5, 6, 253, 254, 255} }

func set() *rapid.Generator[header.Set] {
	return rapid.Custom(func(t *rapid.T) header.Set {
		if rapid.IntRange(0, 7).Draw(t, "all") == 0 {
			return nil
		}
		var in []header.Interval
		for range rapid.IntRange(0, 3).Draw(t, "intervals") {
			end := rapid.SampledFrom(points())
			in = append(in, header.Interval{Lo: end.Draw(t, "lo"), Hi: end.Draw(t, "hi")})
		}
		return header.SetOf(in...)
	})
}

// proper fails unless a set is in the one form that sets have.
func proper(t *rapid.T, s header.Set) {
	for i, in := range s {
		if in.Lo > in.Hi || i > 0 && s[i-1].Hi+1 >= in.Lo {
			t.Fatalf("%v is not in order", s)
		}
	}
}

// What is done with sets is what is done with each value.
func TestSets(t *testing.T) {
	const limit = 255
	rapid.Check(t, func(t *rapid.T) {
		a, b := set().Draw(t, "a"), set().Draw(t, "b")
		union, both, rest, not := a.Union(b), a.Intersect(b), a.Subtract(b, limit), a.Complement(limit)
		covers, empty := true, true
		for _, v := range points() {
			in, other := a.Has(v), b.Has(v)
			if union.Has(v) != (in || other) || both.Has(v) != (in && other) || rest.Has(v) != (in && !other) || not.Has(v) == in {
				t.Fatalf("value %d of %v and %v: union %v, intersection %v, rest %v, complement %v", v, a, b, union, both, rest, not)
			}
		}
		for v := range uint32(limit + 1) {
			covers, empty = covers && a.Has(v), empty && !a.Has(v)
		}
		if a.Covers(limit) != covers || a.Empty() != empty {
			t.Fatalf("%v: covers %v, empty %v", a, a.Covers(limit), a.Empty())
		}
		for _, s := range []header.Set{union, both, rest, not} {
			proper(t, s)
		}
	})
}

func TestMasked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value, mask := rapid.Uint32Range(0, 255).Draw(t, "value"), rapid.Uint32Range(0, 255).Draw(t, "mask")
		limit := rapid.SampledFrom([]uint32{63, 200, 255}).Draw(t, "limit")
		s, ok := header.Masked(value, mask, limit, 256)
		if !ok {
			t.Fatal("256 intervals are not enough")
		}
		proper(t, s)
		for v := range uint32(300) {
			if want := v <= limit && v&mask == value; s.Has(v) != want {
				t.Fatalf("%d: %v", v, s)
			}
		}
	})
}

// A mask with many holes is not made into millions of intervals.
func TestMaskedMany(t *testing.T) {
	if _, ok := header.Masked(1, 1, math.MaxUint32, 1000); ok {
		t.Error("2^31 intervals are not too many")
	}
	if s, ok := header.Masked(0x0a000000, 0xff000000, math.MaxUint32, 1); !ok || !slices.Equal(s, header.Set{{0x0a000000, 0x0affffff}}) {
		t.Error(s, ok)
	}
}

func box() *rapid.Generator[header.Box] {
	return rapid.Custom(func(t *rapid.T) header.Box {
		var b header.Box
		for _, w := range []header.Word{header.Proto, header.Flags, header.TTL} {
			if rapid.Bool().Draw(t, "named") {
				b[w] = set().Draw(t, "set")
			}
		}
		return b
	})
}

// What is done with boxes is what is done with each packet, and no packet is in two parts of a difference.
func TestBoxes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(box(), 0, 2).Draw(t, "a"), rapid.SliceOfN(box(), 0, 2).Draw(t, "b")
		both, rest, not := header.IntersectBoxes(a, b), header.SubtractBoxes(a, b), header.ComplementBoxes(a)
		for i := range 1000 {
			var p header.Packet
			p.Words[header.Proto] = points()[i%10]
			p.Words[header.Flags] = points()[i/10%10]
			p.Words[header.TTL] = points()[i/100]
			in, other := has(a, &p), has(b, &p)
			if (has(both, &p) > 0) != (in > 0 && other > 0) || (has(rest, &p) > 0) != (in > 0 && other == 0) || has(not, &p) > 0 == (in > 0) {
				t.Fatalf("packet %v: both %v, rest %v, complement %v", p.Words, both, rest, not)
			}
			if has(not, &p) > 1 {
				t.Fatalf("packet %v is in two of %v", p.Words, not)
			}
		}
		for _, b := range rest {
			w, ok := b.Witness(header.V4)
			if !ok || !b.Has(&w) || b.Empty() {
				t.Fatalf("%v: witness %v %v", b, w.Words, ok)
			}
		}
	})
}

func has(boxes []header.Box, p *header.Packet) (n int) {
	for i := range boxes {
		if boxes[i].Has(p) {
			n++
		}
	}
	return n
}

// Addresses near the ends of words, where a range of 128 bits is cut into boxes.
func addresses() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		var b [16]byte
		b[0], b[1] = 0x20, 1
		for i := 3; i < 16; i += 4 {
			v := rapid.SampledFrom([]uint32{0, 1, 2, 0x7fffffff, 0xfffffffe, 0xffffffff}).Draw(t, "word")
			b[i-3], b[i-2], b[i-1], b[i] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
		}
		return netip.AddrFrom16(b)
	})
}

func TestAddressRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo, hi, at := addresses().Draw(t, "lo"), addresses().Draw(t, "hi"), addresses().Draw(t, "at")
		boxes := header.AddressRange(header.Dst0, lo, hi)
		if len(boxes) > 7 {
			t.Fatalf("%d boxes", len(boxes))
		}
		for _, a := range []netip.Addr{lo, hi, at, lo.Prev(), hi.Next()} {
			if !a.IsValid() {
				continue
			}
			p := header.Packet{Family: header.V6}
			p.SetAddress(header.Dst0, a)
			if p.Address(header.Dst0) != a {
				t.Fatalf("%v becomes %v", a, p.Address(header.Dst0))
			}
			want := 0
			if !a.Less(lo) && !hi.Less(a) {
				want = 1
			}
			if n := has(boxes, &p); n != want {
				t.Fatalf("%v is in %d boxes of %v-%v", a, n, lo, hi)
			}
		}
	})
}

func TestPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, at := addresses().Draw(t, "prefix"), addresses().Draw(t, "at")
		prefix, family := netip.PrefixFrom(a, rapid.IntRange(0, 128).Draw(t, "bits")), header.V6
		if rapid.Bool().Draw(t, "IPv4") {
			a4, at4 := a.As16(), at.As16()
			prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte(a4[12:])), min(prefix.Bits(), 32))
			at, family = netip.AddrFrom4([4]byte(at4[12:])), header.V4
		}
		box := header.Prefix(header.Src0, prefix)
		for _, a := range []netip.Addr{prefix.Addr(), at} {
			p := header.Packet{Family: family}
			p.SetAddress(header.Src0, a)
			if box.Has(&p) != prefix.Contains(a) {
				t.Fatalf("%v in %v: %v", a, prefix, box)
			}
		}
	})
}

func TestStates(t *testing.T) {
	all := header.AllStates()
	if bits.OnesCount64(all) != len(header.States()) {
		t.Errorf("%x", all)
	}
	for _, s := range header.States() {
		if all>>s&1 != 1 {
			t.Errorf("%d is not in %x", s, all)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := set().Draw(t, "set")
		for _, v := range header.States() {
			if s.States()>>v&1 == 1 != s.Has(v) {
				t.Fatalf("%d: %x of %v", v, s.States(), s)
			}
		}
	})
}
