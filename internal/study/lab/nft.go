// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// fromDevice is: iifname "device".
func fromDevice(device string) []expr.Any { return ifName(expr.MetaKeyIIFNAME, device) }

// toDevice is: oifname "device".
func toDevice(device string) []expr.Any { return ifName(expr.MetaKeyOIFNAME, device) }

func ifName(key expr.MetaKey, device string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
	}
}

// toAddr is, for an IPv4 address: ip daddr addr.
func toAddr(addr netip.Addr) []expr.Any {
	const destination = 16 // in the IPv4 header
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: destination, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr.AsSlice()},
	}
}

// fromTenant is, of the marks of [space.ensureTenantNAT]: meta mark & 0xff00 == n << 8.
func fromTenant(n int) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark(originMask), Xor: mark(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: mark(uint32(n) << originShift)},
	}
}

// setFrom is: meta mark set meta mark & 0xffff0000 | n << 8.
func setFrom(n int) []expr.Any { return setMark(originMask|destMask, uint32(n)<<originShift) }

// setTo is: meta mark set meta mark & 0xffffff00 | n.
func setTo(n int) []expr.Any { return setMark(destMask, uint32(n)) }

// setMark sets some bits of the mark. The others may be somebody else's.
func setMark(bits, value uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark(^bits), Xor: mark(value)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}
}

func mark(value uint32) []byte { return binaryutil.NativeEndian.PutUint32(value) }

// setZone is: ct zone set n.
func setZone(n int) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint16(uint16(n))},
		&expr.Ct{Key: expr.CtKeyZONE, Register: 1, SourceRegister: true},
	}
}

// translateTo is, for IPv4: snat to addr, or dnat to addr.
func translateTo(which expr.NATType, addr netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: addr.AsSlice()},
		&expr.NAT{Type: which, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	}
}
