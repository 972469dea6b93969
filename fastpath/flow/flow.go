// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"net/netip"
	"time"
)

// Tuple is what tells the packets of one direction of a flow from others.
type Tuple struct {
	// Proto is the protocol above IP: TCP, UDP, ICMP or ICMPv6.
	Proto    uint8
	Src, Dst netip.Addr
	// Sport and Dport are ports. For an echo they are its identifier, and its type * 256 + code.
	Sport, Dport uint16
}

// Key is one direction of a flow as it arrives.
type Key struct {
	// IfIndex is the device by which it arrives: a port, or the hypervisor's NIC.
	IfIndex int
	// VNI is that of the VXLAN tunnel in which it arrives, or 0.
	VNI uint32
	Tuple
}

// MAC is an Ethernet address.
type MAC [6]byte

// Rewrite is what the kernel does to each packet of a flow, and the fast path in its place.
type Rewrite struct {
	// After is the tuple with which it leaves.
	After Tuple
	// Out is the device by which it leaves.
	Out int
	// Routed is set if its TTL is one less when it leaves.
	Routed bool
	// NextHop is whose Ethernet address the kernel gives it. If it is not valid, it leaves with
	// Dst and Src.
	NextHop  netip.Addr
	Dst, Src MAC
	// FromDst and FromSrc are the Ethernet addresses with which it arrives.
	FromDst, FromSrc MAC
	// TOS is the byte with the DSCP of its packets.
	TOS uint8
	// MarkIn and Mark are the packet's marks before and after.
	MarkIn, Mark uint32
	// Outer are the headers of the tunnel that are put before it or taken away, or nil. What differs between packets
	// is 0 in them.
	Outer []byte
	// VNI is that of the tunnel into which it is put, or 0.
	VNI uint32
	// Decapsulated is set if it arrives in a tunnel whose headers are taken away.
	Decapsulated bool
}

// Flow is what is known of one direction of a flow. It is a copy, made at one moment.
type Flow struct {
	Key     Key
	ID      uint64
	Rewrite Rewrite
	// Slot and Other are numbers of tenants: see package bypass. Other is 0 if only one
	// tenant's port is concerned.
	Slot, Other uint16
	// Tracked is set if the kernel tracks its connection, Reply if this is its reply's direction.
	Tracked, Reply bool
	// Zone is that of connection tracking in which the connection is.
	Zone uint16
	// Changed is set if something has changed since the kernel last treated one of its packets so.
	Changed bool
	// Lease is how long it is still believed; negative if it is over.
	Lease time.Duration
	// Idle is how long ago its last packet was.
	Idle time.Duration
	// Approval is the number of the approval that was given or, if Denied says why, refused, or 0.
	Approval uint32
	// Denied says why it was refused, Ended why it must not be used any more, Last why its
	// last slow packet was slow; or Fast.
	Denied, Ended, Last Reason
	// Detail is what was passed with a refusal.
	Detail uint32
	// Agreed is how many of its packets the kernel treated as Rewrite says.
	Agreed uint32
	// Longest is the length from the IP header on, in bytes, that was seen in this lease.
	Longest uint32
	// Fast, Bytes and Slow are how many packets took which path, and the bytes of the fast ones.
	Fast, Bytes, Slow uint64
}

// Back returns the key of the other direction: what a reply to the packet as it leaves arrives as.
func (f *Flow) Back() Key {
	a := f.Rewrite.After
	b := Key{IfIndex: f.Rewrite.Out, VNI: f.Rewrite.VNI, Tuple: Tuple{Proto: a.Proto, Src: a.Dst, Dst: a.Src, Sport: a.Dport, Dport: a.Sport}}
	if answer, isEcho := answers(a.Proto, a.Dport); isEcho {
		b.Sport, b.Dport = a.Sport, answer
	}
	return b
}

// answers returns the type and code of the echo that goes with one, if it is one.
func answers(proto uint8, typeCode uint16) (uint16, bool) {
	switch {
	case proto == 1 && typeCode == 8<<8:
		return 0, true
	case proto == 1 && typeCode == 0:
		return 8 << 8, true
	case proto == 58 && typeCode == 128<<8:
		return 129 << 8, true
	case proto == 58 && typeCode == 129<<8:
		return 128 << 8, true
	}
	return 0, false
}
