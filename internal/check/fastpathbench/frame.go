// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// Lengths of headers and data, in bytes.
const (
	ethLen  = traffic.EthLen
	ipLen   = traffic.IPLen
	icmpLen = 8
	dataLen = 56 // as ping has
)

// identifiers is how many flows have one destination.
const identifiers = 1 << 15

// pings returns the frames of echo requests, each of a flow of its own. One flow alone is the
// outside's own address.
func (l *lab) pings(flows int) [][]byte {
	if flows == 1 {
		return [][]byte{l.ping(l.target(), 1)}
	}
	frames := make([][]byte, flows)
	to := netip.MustParsePrefix(many).Addr()
	for i := range frames {
		if i%identifiers == 0 {
			to = to.Next()
		}
		frames[i] = l.ping(to, uint16(i%identifiers+1))
	}
	return frames
}

// ping returns an echo request as the guest sends it.
func (l *lab) ping(to netip.Addr, id uint16) []byte {
	f := make([]byte, ethLen+ipLen+icmpLen+dataLen)
	copy(f, l.next)
	copy(f[6:], l.own)
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IP)
	ip, icmp := f[ethLen:ethLen+ipLen], f[ethLen+ipLen:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_ICMP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(f)-ethLen))
	from := netip.MustParseAddr(guestAddr).As4()
	dst := to.As4()
	copy(ip[12:], from[:])
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(ip[10:], traffic.Checksum(0, ip))
	icmp[0] = 8
	binary.BigEndian.PutUint16(icmp[4:], id)
	binary.BigEndian.PutUint16(icmp[6:], 1)
	binary.BigEndian.PutUint16(icmp[2:], traffic.Checksum(0, icmp))
	return f
}
