// SPDX-License-Identifier: Apache-2.0

package header

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// WordError says which word of a packet's text is wrong, and why.
type WordError struct {
	// Index is the word's place, from 0. It is the number of words if one is missing.
	Index int
	// Text is the word, "" if one is missing.
	Text string
	// Message is a clause about the word: "is not an address".
	Message string
}

// Error returns `word 3 "203.0.113": is not an address`.
func (e *WordError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("word %d of the packet %s", e.Index+1, e.Message)
	}
	return fmt.Sprintf("word %d of the packet, %q, %s", e.Index+1, e.Text, e.Message)
}

// probeParser takes word after word.
type probeParser struct {
	words []string
	at    int // the next word
	probe Probe
	said  map[string]bool
}

// ParseProbe reads a packet: see [Probe]. Errors are *[WordError].
func ParseProbe(text string) (Probe, error) {
	p := &probeParser{words: strings.Fields(text), said: map[string]bool{}}
	if err := p.parse(); err != nil {
		return Probe{}, err
	}
	return p.probe, nil
}

func (p *probeParser) parse() error {
	proto, err := p.protocol()
	if err != nil {
		return err
	}
	if err := p.ends(proto); err != nil {
		return err
	}
	for p.at < len(p.words) {
		if err := p.option(); err != nil {
			return err
		}
	}
	p.assume()
	return nil
}

// wrong is about the word that was taken last.
func (p *probeParser) wrong(format string, args ...any) error {
	return &WordError{Index: p.at - 1, Text: p.words[p.at-1], Message: fmt.Sprintf(format, args...)}
}

func (p *probeParser) next(missing string) (string, error) {
	if p.at == len(p.words) {
		return "", &WordError{Index: p.at, Message: "is missing: " + missing}
	}
	p.at++
	return p.words[p.at-1], nil
}

func (p *probeParser) protocol() (uint32, error) {
	word, err := p.next("a packet begins with its protocol, such as icmp, tcp or 47")
	if err != nil {
		return 0, err
	}
	for _, known := range protocols() {
		if strings.EqualFold(word, known.name) {
			return known.number, nil
		}
	}
	number, err := strconv.ParseUint(word, 10, 8)
	if err != nil {
		return 0, p.wrong("is not a protocol: use a name such as icmp, tcp or udp, or a number up to 255")
	}
	return uint32(number), nil
}

// ends takes "address > address", with ports where there are some.
func (p *probeParser) ends(proto uint32) error {
	byName := p.words[0][0] > '9'
	src, sport, err := p.end("the source's address")
	if err != nil {
		return err
	}
	p.probe.Family = V4
	if src.Is6() {
		p.probe.Family = V6
	}
	if byName && proto == ICMP && p.probe.Family == V6 {
		proto = ICMPv6 // its name with addresses that leave no doubt
	}
	if byName && proto == ICMPv6 && p.probe.Family == V4 {
		return p.wrong("is an IPv4 address, which ICMPv6 has not: write icmp")
	}
	p.probe.Words[Proto] = proto
	if sport >= 0 && !HasPorts(proto) {
		return p.wrong("has a port, which the protocol %s has not", p.words[0])
	}
	arrow, err := p.next("> and the destination's address")
	if err != nil {
		return err
	}
	if arrow != ">" {
		return p.wrong("must be > between the two addresses")
	}
	dst, dport, err := p.end("the destination's address")
	if err != nil {
		return err
	}
	if err := p.destination(src, dst, dport); err != nil {
		return err
	}
	p.probe.SetAddress(Src0, src)
	p.probe.SetAddress(Dst0, dst)
	if sport >= 0 {
		p.said["sport"] = true
		p.probe.Words[Sport] = uint32(sport)
	}
	p.probe.Words[Dport] = uint32(max(dport, 0))
	return nil
}

func (p *probeParser) destination(src, dst netip.Addr, dport int) error {
	switch ports := HasPorts(p.probe.Words[Proto]); {
	case src.Is4() != dst.Is4():
		return p.wrong("is not of the same version of IP as %s", src)
	case ports && dport < 0:
		return p.wrong("has no port: write %s, with the port you mean", netip.AddrPortFrom(dst, 22))
	case !ports && dport >= 0:
		return p.wrong("has a port, which the protocol %s has not", p.words[0])
	}
	return nil
}

// end takes an address with or without a port; the port is -1 if there is none.
func (p *probeParser) end(missing string) (netip.Addr, int, error) {
	word, err := p.next(missing)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	bare, bracket := strings.CutPrefix(word, "[")
	if bracket {
		bare, bracket = strings.CutSuffix(bare, "]")
	}
	if !bracket {
		bare = word
	}
	addr, err := netip.ParseAddr(bare)
	port := -1
	if err != nil {
		both, err := netip.ParseAddrPort(word)
		if err != nil {
			return netip.Addr{}, 0, p.wrong("is not an address, with or without a port, such as 192.0.2.1:80 or [2001:db8::1]:80")
		}
		addr, port = both.Addr(), int(both.Port())
	}
	if bracket && addr.Is4() {
		return netip.Addr{}, 0, p.wrong("has brackets, which only IPv6 addresses have")
	}
	if addr.Zone() != "" {
		return netip.Addr{}, 0, p.wrong("has a zone: say the device with \"in\" or \"out\"")
	}
	return addr, port, nil
}

// option takes one of what may follow the addresses.
func (p *probeParser) option() error {
	word, _ := p.next("")
	key := strings.ToLower(word)
	switch key {
	case "from", "to":
		if err := p.once("origin"); err != nil {
			return err
		}
		p.probe.Words[Origin] = From
		if key == "to" {
			p.probe.Words[Origin] = To
		}
		return nil
	case "flags", "type", "ttl", "length", "tos", "state", "in", "out":
		if err := p.once(key); err != nil {
			return err
		}
		value, err := p.next("the value of " + key)
		if err != nil {
			return err
		}
		return p.value(key, value)
	}
	if flags, ok := parseFlags(key); ok {
		if err := p.once("flags"); err != nil {
			return err
		}
		return p.flags(flags)
	}
	return p.wrong("is not known: use flags, type, ttl, length, tos, state, in, out, from or to")
}

func (p *probeParser) once(key string) error {
	if p.said[key] {
		return p.wrong("is the second to say that: leave one out")
	}
	p.said[key] = true
	return nil
}

func (p *probeParser) value(key, value string) error {
	switch key {
	case "flags":
		flags, ok := parseFlags(strings.ToLower(value))
		if !ok {
			return p.wrong("is not a list of %s, or none", strings.Join(flagNames(), ","))
		}
		return p.flags(flags)
	case "type":
		return p.icmpType(value)
	case "ttl":
		return p.number(TTL, value)
	case "length":
		return p.number(Length, value)
	case "tos":
		return p.number(TOS, value)
	case "state":
		return p.state(value)
	case "in":
		p.probe.In = value
	case "out":
		p.probe.Out = value
	}
	return nil
}

func (p *probeParser) number(w Word, text string) error {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil || uint32(n) > w.Max() {
		return p.wrong("is not a number from 0 to %d", w.Max())
	}
	p.probe.Words[w] = uint32(n)
	return nil
}

func (p *probeParser) flags(flags uint32) error {
	if p.probe.Words[Proto] != TCP {
		return p.wrong("is about TCP's flags, which the protocol %s has not", p.words[0])
	}
	p.probe.Words[Flags] = flags
	return nil
}

func parseFlags(text string) (flags uint32, ok bool) {
	if text == "none" {
		return 0, true
	}
	for _, name := range strings.Split(text, ",") {
		i := slices.Index(flagNames(), name)
		if i < 0 {
			return 0, false
		}
		flags |= 1 << i
	}
	return flags, true
}

func (p *probeParser) icmpType(text string) error {
	if !HasType(p.probe.Family, p.probe.Words[Proto]) {
		return p.wrong("is a type, which the protocol %s has not", p.words[0])
	}
	kind, code, both := strings.Cut(text, "/")
	k, err := strconv.ParseUint(kind, 10, 8)
	var c uint64
	if err == nil && both {
		c, err = strconv.ParseUint(code, 10, 8)
	}
	if err != nil {
		return p.wrong("is not a type, or a type and a code such as 8/0")
	}
	p.probe.Words[Sport] = uint32(k<<8 | c)
	return nil
}

func (p *probeParser) state(text string) error {
	name, rest, more := strings.Cut(text, ",")
	ct := slices.Index(stateNames(), strings.ToUpper(name))
	if ct < 0 {
		return p.wrong("does not begin with one of %s", strings.Join(stateNames(), ", "))
	}
	state := uint32(ct)
	for more {
		name, rest, more = strings.Cut(rest, ",")
		i := slices.IndexFunc(stateBits(), func(b stateBit) bool { return strings.EqualFold(b.name, name) })
		if i < 0 {
			return p.wrong("has %q after the state: use reply, snat and dnat", name)
		}
		state |= stateBits()[i].bit
	}
	if bits := state &^ 7; bits != 0 && (CT(ct) == Invalid || CT(ct) == Untracked) {
		return p.wrong("has reply, snat or dnat, which a packet of no connection has not")
	}
	p.probe.Words[State] = state
	return nil
}

// assume fills in what was not said.
func (p *probeParser) assume() {
	said := p.probe.Words
	q := &p.probe.Packet
	keep := func(key string, w Word) {
		if p.said[key] {
			q.Words[w] = said[w]
		}
	}
	q.Assume()
	q.Words[Dport] = said[Dport]
	keep("state", State)
	q.assumeDetails()
	keep("sport", Sport)
	keep("type", Sport)
	keep("flags", Flags)
	keep("ttl", TTL)
	keep("length", Length)
	keep("tos", TOS)
	keep("origin", Origin)
}
