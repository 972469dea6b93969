// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// networkOrder turns a number into what the programs have of it, whose bytes are in network order, or back.
func networkOrder(v uint16) uint16 {
	var bytes [2]byte
	binary.BigEndian.PutUint16(bytes[:], v)
	return binary.NativeEndian.Uint16(bytes[:])
}

// words4 returns an IPv4 address as the programs have it.
func words4(a netip.Addr) uint32 {
	bytes := a.As4()
	return binary.NativeEndian.Uint32(bytes[:])
}

// words returns an address as the programs have it. IPv4 is in the first word.
func words(a netip.Addr) (w [4]uint32) {
	if a.Is4() {
		w[0] = words4(a)
		return w
	}
	bytes := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(bytes[4*i:])
	}
	return w
}

// address returns what words stand for.
func address(is4 bool, w *[4]uint32) netip.Addr {
	var bytes [16]byte
	for i, word := range w {
		binary.NativeEndian.PutUint32(bytes[4*i:], word)
	}
	if is4 {
		return netip.AddrFrom4([4]byte(bytes[:4]))
	}
	return netip.AddrFrom16(bytes)
}

// vniBits is how much the VXLAN network's number is shifted beside the protocol's.
const vniBits = 8

// checkKey reports what is wrong with a key that no packet has.
func checkKey(k *flow.Key) error {
	if !k.Src.IsValid() || !k.Dst.IsValid() || k.Src.Is4() != k.Dst.Is4() || k.VNI >= 1<<24 {
		return fmt.Errorf("%+v is not a valid key of a flow: it needs two addresses of one family, and a VNI below %d", *k, 1<<24)
	}
	return nil
}

// is4 reports whether a key is one of IPv4.
func is4(k *flow.Key) bool { return k.Src.Is4() }

// familyOf returns AF_INET or AF_INET6.
func familyOf(k *flow.Key) uint8 {
	if is4(k) {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// key6 returns a key in the form that has room for both families.
func key6(k *flow.Key) plainKey6 {
	return plainKey6{
		Ifindex: uint32(k.IfIndex), Src: words(k.Src), Dst: words(k.Dst),
		Sport: networkOrder(k.Sport), Dport: networkOrder(k.Dport), VniProto: k.VNI<<vniBits | uint32(k.Proto),
	}
}

// key4 returns a key of IPv4.
func key4(k *flow.Key) plainKey4 {
	return plainKey4{
		Ifindex: uint32(k.IfIndex), Src: words4(k.Src), Dst: words4(k.Dst),
		Sport: networkOrder(k.Sport), Dport: networkOrder(k.Dport), VniProto: k.VNI<<vniBits | uint32(k.Proto),
	}
}

// flowKey returns the key that the programs' form stands for.
func flowKey(is4 bool, k *plainKey6) flow.Key {
	return flow.Key{
		IfIndex: int(k.Ifindex), VNI: k.VniProto >> vniBits,
		Tuple: flow.Tuple{
			Proto: uint8(k.VniProto), Src: address(is4, &k.Src), Dst: address(is4, &k.Dst),
			Sport: networkOrder(k.Sport), Dport: networkOrder(k.Dport),
		},
	}
}

// wide returns a key of IPv4 in the form that has room for both families.
func (k *plainKey4) wide() *plainKey6 {
	return &plainKey6{
		Ifindex: k.Ifindex, Src: [4]uint32{k.Src}, Dst: [4]uint32{k.Dst}, Sport: k.Sport, Dport: k.Dport, VniProto: k.VniProto,
	}
}
