// SPDX-License-Identifier: Apache-2.0

// Package event is the record that the kernel side hands to the correlator:
// one packet, seen at one hook, at one time.
//
// It is the only thing the two sides share. The BPF programs know nothing of
// pings or traces and the correlator knows nothing of ring buffers, so that the
// correlator can be tested from lists of events written by hand, read from a
// recording or taken from the paper's listings.
//
// An [Event] holds no pointers on purpose: at flood rates millions of them are
// kept at a time and the garbage collector need not scan any of them.
package event

import "net/netip"

// PayloadPrefix is how many bytes of the echo payload an [Event] carries. ping
// puts a struct timeval (16 bytes on 64-bit hosts) at the front of its payload;
// this distinguishes one echo from another.
const PayloadPrefix = 16

// Type says which of the two packets of a ping was seen.
type Type uint8

// The two packets of a ping. ICMP types 8 and 0, ICMPv6 types 128 and 129.
const (
	EchoRequest Type = 1
	EchoReply   Type = 2
)

// String returns the name used in listings: "request" or "reply".
func (t Type) String() string {
	switch t {
	case EchoRequest:
		return "request"
	case EchoReply:
		return "reply"
	}
	return "unknown"
}

// Flags are facts about the packet and the device that the kernel side can read
// for nothing and user space could only learn later, and perhaps too late.
type Flags uint8

const (
	// IPv6 is set when the echo is ICMPv6.
	IPv6 Flags = 1 << iota
	// Encapsulated is set when the device saw the echo inside a tunnel packet;
	// Event.Outer is then valid.
	Encapsulated
	// BridgePort is set when the device is a port of a bridge.
	BridgePort
	// Bridge is set when the device is itself a bridge.
	Bridge
	// Received is set when the packet came in through some interface of this
	// namespace before (skb_iif is not 0). On a transmit hook it distinguishes a
	// forwarded or bridged packet from one that was made here.
	Received
	// OuterIPv6 is set when the tunnel packet is IPv6.
	OuterIPv6
	// Loopback is set when the device is a loopback device.
	Loopback
)

// Has reports whether all of the given flags are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Address is an IPv4 (as an IPv4-mapped IPv6 address) or IPv6 address.
type Address [16]byte

// AddressFrom converts a to an Address; an IPv4 address becomes IPv4-mapped.
func AddressFrom(a netip.Addr) Address { return a.As16() }

// Addr converts to the standard library's type; IPv4-mapped becomes IPv4.
func (a Address) Addr() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// Tunnel is the outer header of an encapsulated echo.
type Tunnel struct {
	Src, Dst Address
	// VNI is the VXLAN network identifier, 24 bits.
	VNI uint32
}

// Event is one packet seen at one hook at one time.
type Event struct {
	// Time is the kernel's CLOCK_MONOTONIC in nanoseconds.
	Time uint64
	// SKB is the address of the packet's struct sk_buff, or 0 where it is not
	// known. It is a hint within a journey, never an identity: the kernel reuses
	// addresses within microseconds.
	SKB uint64
	// NetNS is the inode number of the network namespace.
	NetNS uint32
	// IfIndex is the index of the network device within NetNS, or 0 where the
	// packet was seen away from any device.
	IfIndex uint32
	// Code is what the hook's row says (see CodeKind): the kernel's drop reason, the
	// driver's return code or a NetfilterHook; otherwise 0.
	Code uint32
	// ID and Seq are the echo's identifier and sequence number in host order.
	ID, Seq uint16
	// PayloadLen is the length in bytes of the echo's payload on the wire, after
	// the 8-byte ICMP header.
	PayloadLen uint16
	Hook       Hook
	Type       Type
	Flags      Flags
	// CPU is the processor on which the packet was seen.
	CPU uint16
	// Payload is the beginning of the echo's payload; bytes past PayloadLen are 0.
	Payload [PayloadPrefix]byte
	// Src and Dst are the echo's own (inner) addresses.
	Src, Dst Address
	// Outer is valid if Flags has Encapsulated.
	Outer Tunnel
}

// Place returns where on a packet's way the event was seen, by the hook's row: of two
// events of one packet with the same time, the packet was first at the lower place.
func (e *Event) Place() uint8 {
	place := all.rows[e.Hook].Place
	if all.rows[e.Hook].Code == CodeNetfilterHook {
		place += NetfilterHook(e.Code).place()
	}
	return place
}
