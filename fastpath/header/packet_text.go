// SPDX-License-Identifier: Apache-2.0

package header

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Probe is a packet, and the devices by which it enters and leaves, as people write it:
//
//	icmp 192.168.0.10 > 203.0.113.8
//	tcp 192.168.0.10:40000 > 203.0.113.8:22 syn
//	udp [2001:db8::1]:40000 > [2001:db8::2]:53 ttl 3 length 1500 tos 0x10 in br-red out ens3
//	icmp 203.0.113.8 > 192.168.0.10 type 0/0 state ESTABLISHED,reply to
//
// A protocol is a name or a number. What may follow the addresses, in any order:
//
//	syn,ack or flags syn,ack   TCP's flags; "flags none" for none
//	type 8/0                   type and code of ICMP and ICMPv6
//	ttl 63                     the TTL that FORWARD sees, or the hop limit
//	length 84                  bytes from the IP header on
//	tos 0x10                   the byte of DSCP and ECN
//	state ESTABLISHED,reply    what connection tracking says: NEW, ESTABLISHED, RELATED, INVALID
//	                           or UNTRACKED, and reply, snat, dnat
//	in br-red, out ens3        devices
//	from, to                   the packet comes from the tenant, or goes to it
//
// What is not said is assumed: source port 40000; TCP's flags syn, or ack if the state is
// neither NEW nor INVALID; type 8/0 (ICMPv6: 128/0), an echo request; TTL 63, which is 64 less
// one for the hypervisor; as length an ordinary one of the protocol; tos 0; state NEW; from
// the tenant. Only a destination port is never assumed.
type Probe struct {
	Packet
	// In and Out are the devices, "" if they were not said.
	In, Out string
}

// The values that are assumed.
const (
	assumedSport  = 40000
	assumedTTL    = 63
	assumedLength = 84
)

// Bits of the word [Flags].
const (
	flagSYN = 1 << 1
	flagACK = 1 << 4
)

// flagNames are those of the bits of the word [Flags], the least significant first.
func flagNames() []string {
	return []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
}

// stateNames are those of the values of [CT].
func stateNames() []string {
	return []string{"INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED"}
}

// stateBit is the name of a bit of the word [State].
type stateBit struct {
	name string
	bit  uint32
}

func stateBits() []stateBit {
	return []stateBit{{"reply", StateReply}, {"snat", StateSNAT}, {"dnat", StateDNAT}}
}

// protocol is a protocol that has a name.
type protocol struct {
	name   string
	number uint32
}

func protocols() []protocol {
	return []protocol{
		{"icmp", ICMP},
		{"tcp", TCP},
		{"udp", UDP},
		{"icmpv6", ICMPv6},
		{"sctp", SCTP},
		{"dccp", DCCP},
		{"udplite", UDPLite},
		{"igmp", 2},
		{"ipip", 4},
		{"ipv6", 41},
		{"gre", 47},
		{"esp", 50},
		{"ah", 51},
		{"ospf", 89},
		// Other names that /etc/protocols, or people, have for them.
		{"ipv6-icmp", ICMPv6},
		{"icmp6", ICMPv6},
		{"ipencap", 4},
	}
}

// HasPorts reports whether a protocol has ports.
func HasPorts(proto uint32) bool {
	switch proto {
	case TCP, UDP, DCCP, SCTP, UDPLite:
		return true
	}
	return false
}

// HasType reports whether packets of the protocol, in the family, have a type and a code in
// the word [Sport].
func HasType(f Family, proto uint32) bool {
	return f == V4 && proto == ICMP || f == V6 && proto == ICMPv6
}

// Assume sets all words to what is assumed if only the protocol and the addresses are said.
func (p *Packet) Assume() {
	p.Words[Sport], p.Words[Dport], p.Words[Flags] = 0, 0, 0
	p.Words[TOS], p.Words[TTL] = 0, assumedTTL
	p.Words[State], p.Words[Origin] = StateOf(New, 0), From
	p.assumeDetails()
}

// assumeDetails sets what depends on protocol and state.
func (p *Packet) assumeDetails() {
	switch proto := p.Words[Proto]; {
	case HasPorts(proto):
		p.Words[Sport] = assumedSport
	case HasType(p.Family, proto):
		p.Words[Sport] = echoRequest(p.Family)
	}
	p.Words[Flags] = p.assumedFlags()
	p.Words[Length] = p.assumedLength()
}

func (p *Packet) assumedFlags() uint32 {
	if p.Words[Proto] != TCP {
		return 0
	}
	if ct := CT(p.Words[State] & 7); ct == New || ct == Invalid {
		return flagSYN
	}
	return flagACK
}

// assumedLength is that of an echo with 56 bytes, a TCP segment without data, and so on.
func (p *Packet) assumedLength() uint32 {
	length := uint32(assumedLength)
	if p.Words[Proto] == TCP {
		length = 60
	}
	if p.Family == V6 {
		length += 20
	}
	return length
}

func echoRequest(f Family) uint32 {
	if f == V6 {
		return 128 << 8
	}
	return 8 << 8
}

// Place sets the word [Origin] by the devices, where they were said: own reports whether a
// device is the tenant's.
func (p *Probe) Place(own func(device string) bool) {
	switch {
	case p.In != "" && own(p.In):
		p.Words[Origin] = From
	case p.Out != "" && own(p.Out):
		p.Words[Origin] = To
	}
}

// String returns the packet without what would be assumed. [ParseProbe] reads it back.
func (p Probe) String() string { return p.text(false) }

// Full returns the packet with everything. [ParseProbe] reads it back, too.
func (p Probe) Full() string { return p.text(true) }

// String returns the packet as [Probe.String] does.
func (p Packet) String() string { return Probe{Packet: p}.String() }

func (p *Probe) text(full bool) string {
	w := &p.Words
	usual := p.Packet
	usual.assumeDetails()
	words := []string{protocolName(p.Family, w[Proto]), p.end(Src0, Sport), ">", p.end(Dst0, Dport)}
	if w[Proto] == TCP {
		if w[Flags] == 0 {
			words = append(words, "flags")
		}
		words = append(words, flagsText(w[Flags]))
	}
	add := func(word Word, assumed uint32, name, value string) {
		if full || w[word] != assumed {
			words = append(words, name, value)
		}
	}
	if HasType(p.Family, w[Proto]) {
		add(Sport, usual.Words[Sport], "type", fmt.Sprintf("%d/%d", w[Sport]>>8, w[Sport]&0xff))
	}
	add(TTL, assumedTTL, "ttl", strconv.Itoa(int(w[TTL])))
	add(Length, usual.Words[Length], "length", strconv.Itoa(int(w[Length])))
	add(TOS, 0, "tos", fmt.Sprintf("0x%02x", w[TOS]))
	add(State, StateOf(New, 0), "state", StateText(w[State]))
	if p.In != "" {
		words = append(words, "in", p.In)
	}
	if p.Out != "" {
		words = append(words, "out", p.Out)
	}
	if w[Origin] == To {
		words = append(words, "to")
	} else if full {
		words = append(words, "from")
	}
	return strings.Join(words, " ")
}

// end returns an address with its port.
func (p *Probe) end(addr, port Word) string {
	a := p.Address(addr)
	if !HasPorts(p.Words[Proto]) {
		return a.String()
	}
	return netip.AddrPortFrom(a, uint16(p.Words[port])).String()
}

func protocolName(f Family, number uint32) string {
	for _, p := range protocols() {
		if p.number == number && (p.number != ICMP && p.number != ICMPv6 || HasType(f, number)) {
			return p.name
		}
	}
	return strconv.Itoa(int(number))
}

func flagsText(flags uint32) string {
	var names []string
	for i, name := range flagNames() {
		if flags>>i&1 != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}

// StateText returns a value of the word [State] as a probe has it: "ESTABLISHED,reply".
func StateText(state uint32) string {
	ct := state & 7
	if int(ct) >= len(stateNames()) {
		return strconv.Itoa(int(state))
	}
	text := stateNames()[ct]
	for _, b := range stateBits() {
		if state&b.bit != 0 {
			text += "," + b.name
		}
	}
	return text
}
