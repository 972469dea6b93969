// SPDX-License-Identifier: Apache-2.0

package header

// Word is one of the words that describe a packet. The numbers are those of enum word in
// fastpath/datapath/c/words.h.
type Word uint8

// The words. Addresses have the most significant bits first; an IPv4 address is in the first
// word of its four, and the others are 0.
const (
	// Proto is the protocol above IP, as after IPv6's extension headers.
	Proto Word = iota
	Src0
	Src1
	Src2
	Src3
	Dst0
	Dst1
	Dst2
	Dst3
	// Sport is the source port of TCP, UDP, UDP-Lite, SCTP and DCCP, and for ICMP and ICMPv6
	// the type times 256 plus the code. 0 for other protocols.
	Sport
	// Dport is the destination port, or 0.
	Dport
	// Flags is byte 13 of the TCP header: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from the most
	// significant bit on. 0 for other protocols.
	Flags
	// TOS is the whole byte that has DSCP and ECN.
	TOS
	// Length is IPv4's total length, or IPv6's payload length plus 40, in bytes.
	Length
	// TTL is what FORWARD sees: one less than when the packet arrived, if it is routed.
	TTL
	// State is what connection tracking says of the packet: see [StateOf].
	State
	// Origin is [From] for a packet that comes from the tenant, and [To] for one that goes to
	// it. One that does both is From.
	Origin
	// Words is the number of words.
	Words
)

// Values of the word [Origin].
const (
	To   uint32 = 0
	From uint32 = 1
)

// Family is a version of IP.
type Family uint8

// The families.
const (
	V4 Family = 4
	V6 Family = 6
)

// Protocols that have ports or types.
const (
	ICMP    = 1
	TCP     = 6
	UDP     = 17
	DCCP    = 33
	ICMPv6  = 58
	SCTP    = 132
	UDPLite = 136
)

// CT is the state that iptables' conntrack match calls --ctstate.
type CT uint32

// The states, of which a packet has exactly one.
const (
	Invalid CT = iota
	New
	Established
	Related
	Untracked
)

// Bits of the word [State] above the [CT].
const (
	StateReply uint32 = 1 << 3 // the packet is in the direction of the reply
	StateSNAT  uint32 = 1 << 4 // the connection's source is translated (IPS_SRC_NAT)
	StateDNAT  uint32 = 1 << 5 // the connection's destination is translated (IPS_DST_NAT)
	// StateEnd is one more than the largest value of the word.
	StateEnd uint32 = 1 << 6
)

// StateOf returns the word for a state and bits of StateReply, StateSNAT and StateDNAT, which
// are 0 for Invalid and Untracked.
func StateOf(ct CT, bits uint32) uint32 { return uint32(ct) | bits }

// Max returns the largest value that the word can have.
func (w Word) Max() uint32 {
	switch w {
	case Proto, Flags, TOS, TTL:
		return 0xff
	case Sport, Dport, Length:
		return 0xffff
	case State:
		return StateEnd - 1
	case Origin:
		return From
	}
	return 0xffffffff
}
