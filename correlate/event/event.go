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

// Type says which packet of a ping was seen.
type Type uint8

// The packets of a ping. Echoes are ICMP types 8 and 0, ICMPv6 types 128 and 129.
const (
	EchoRequest Type = 1
	EchoReply   Type = 2
	// RequestError and ReplyError are ICMP errors that quote an echo. What an event says
	// of the packet is then about the echo that is quoted, and its outermost tunnel is the
	// error: who sent it, to whom, and as ID its ICMP type * 256 + code. A tunnel around the
	// error, or one that is quoted with the echo, comes after it.
	RequestError Type = 3
	ReplyError   Type = 4
)

// String returns the name used in listings: "request" or "reply", or "error" for an ICMP
// error about either.
func (t Type) String() string {
	switch t {
	case EchoRequest:
		return "request"
	case EchoReply:
		return "reply"
	case RequestError, ReplyError:
		return "error"
	}
	return unknown
}

// Flags are facts about the packet and the device that the kernel side can read
// for nothing and user space could only learn later, and perhaps too late.
type Flags uint16

const (
	// IPv6 is set when the echo is ICMPv6.
	IPv6 Flags = 1 << iota
	// Paired is set when the device is one end of a pair (veth, netkit): what is given to
	// its driver arrives on Event.Peer, and nowhere else. Only on hooks where the packet
	// arrives.
	Paired
	// BridgePort is set when the device is a port of a bridge, or of Open vSwitch.
	BridgePort
	// Bridge is set when the device is itself a bridge, or an internal port of Open vSwitch.
	Bridge
	// Received is set when the packet came in through some interface of this
	// namespace before (skb_iif is not 0). On a transmit hook it distinguishes a
	// forwarded or bridged packet from one that was made here.
	Received
	// PacketSocket is set when the packet was made by, or is taken from, a packet socket
	// (AF_PACKET): a program has a network stack, or a switch, of its own.
	PacketSocket
	// Loopback is set when the device is a loopback device.
	Loopback
	// FirstFragment is set when the packet is the first fragment of a larger one:
	// Event.PayloadLen is that of the fragment.
	FirstFragment
	// LaterFragment is set when the packet is another fragment of the echo. Only the
	// death of one is recorded.
	LaterFragment
	// OtherHost is set when the frame is addressed to another station (PACKET_OTHERHOST).
	OtherHost
	// Encrypted is set when the packet was recognized although it could not be read.
	Encrypted
)

// Has reports whether all of the given flags are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Address is an IPv4 (as an IPv4-mapped IPv6 address) or IPv6 address.
type Address [16]byte

// AddressFrom converts a to an Address; an IPv4 address becomes IPv4-mapped.
func AddressFrom(a netip.Addr) Address { return a.As16() }

// Addr converts to the standard library's type; IPv4-mapped becomes IPv4.
func (a Address) Addr() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// Place is a network device: the inode number of its namespace and its index there. The
// zero value means that there is none, or that it is not known.
type Place struct{ NetNS, IfIndex uint32 }

// Event is one packet seen at one hook at one time.
type Event struct {
	// Time is the kernel's CLOCK_MONOTONIC in nanoseconds, that of the initial time namespace.
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
	// Peer is the other end if Flags has Paired.
	Peer Place
	// Code is what the hook's row says (see CodeKind): the kernel's drop reason, the
	// driver's return code or a NetfilterHook; otherwise 0.
	Code uint32
	// ID and Seq are the echo's identifier and sequence number in host order.
	ID, Seq uint16
	// PayloadLen is the length in bytes of the echo's payload on the wire, after
	// the 8-byte ICMP header.
	PayloadLen uint16
	// TTL is the time to live or hop limit of the echo's own header.
	TTL uint8
	// Depth is how many headers of tunnels are around the echo.
	Depth uint8
	Hook  Hook
	Type  Type
	Flags Flags
	// CPU is the processor on which the packet was seen.
	CPU uint16
	// Threshold is that of the gate that let the echo through: the highest 32 of the 56 bits of a
	// rejection threshold, as OpenTelemetry's consistent probability sampling has it. 0: all are let
	// through.
	Threshold uint32
	// Payload is the beginning of the echo's payload; bytes past PayloadLen are 0.
	Payload [PayloadPrefix]byte
	// Src and Dst are the echo's own (inner) addresses.
	Src, Dst Address
	// Tunnels are the headers around the echo, from the outermost; those from Depth on
	// are zero. If Depth is greater than MaxTunnels, the innermost are missing.
	Tunnels [MaxTunnels]Tunnel
	// Action is what was done to the packet, if the hook's row says that something was.
	Action Action
	// Rewrite is what the packet became, if Action is that of the fast path that sent it on.
	Rewrite Rewrite
}

// Encapsulated reports whether the device saw the echo inside a tunnel packet.
func (e *Event) Encapsulated() bool { return e.Depth > 0 }

// Place returns where on a packet's way the event was seen, by the hook's row: of two
// events of one packet with the same time, the packet was first at the lower place.
func (e *Event) Place() uint8 {
	place := all.rows[e.Hook].Place
	if all.rows[e.Hook].Code == CodeNetfilterHook {
		place += NetfilterHook(e.Code).place()
	}
	return place
}
