// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
)

// sentence makes a sentence of a clause.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// packetOf returns a tuple as people write a packet, and the identifier of an echo, which has no
// place in that.
func packetOf(t flow.Tuple) (text string, id uint16) {
	var p header.Packet
	p.Family = header.V4
	if t.Src.Is6() {
		p.Family = header.V6
	}
	p.SetAddress(header.Src0, t.Src)
	p.SetAddress(header.Dst0, t.Dst)
	p.Words[header.Proto] = uint32(t.Proto)
	p.Assume()
	switch {
	case header.HasType(p.Family, uint32(t.Proto)):
		p.Words[header.Sport] = uint32(t.Dport)
		id = t.Sport
	default:
		p.Words[header.Sport], p.Words[header.Dport] = uint32(t.Sport), uint32(t.Dport)
	}
	if t.Proto == header.TCP {
		p.Words[header.Flags] = flagACK
	}
	return p.String(), id
}

// Flags of TCP, as the word [header.Flags] has them.
const (
	flagFIN = 1 << 0
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

// pattern is what a packet's text says of a flow.
type pattern struct {
	proto    uint8
	src, dst netip.Addr
	// sport and dport are negative if any will do. An echo has its type and code as dport, and any
	// identifier.
	sport, dport int
	// probe has the rest, said which of it was said and not assumed.
	probe header.Probe
	said  map[string]bool
}

// lastAddress is the index of the second address in "tcp 192.0.2.1:1 > 192.0.2.2:2".
const lastAddress = 3

// parsePattern reads a packet's text.
func parsePattern(text string) (*pattern, error) {
	probe, err := header.ParseProbe(text)
	if err != nil {
		return nil, &PacketError{Err: err}
	}
	p := &pattern{
		proto: uint8(probe.Words[header.Proto]), src: probe.Address(header.Src0), dst: probe.Address(header.Dst0),
		sport: -1, dport: int(probe.Words[header.Dport]), probe: probe, said: map[string]bool{},
	}
	words := strings.Fields(strings.ToLower(text))
	for i, word := range words {
		if i <= lastAddress {
			continue
		}
		p.said[word] = true
		if slices.Contains(strings.Fields("fin syn rst psh ack urg ece cwr"), strings.Split(word, ",")[0]) {
			p.said["flags"] = true
		}
	}
	switch {
	case header.HasType(probe.Family, uint32(p.proto)):
		p.dport = -1
		if p.said["type"] {
			p.dport = int(probe.Words[header.Sport])
		}
	case len(words) > 1:
		if _, err := netip.ParseAddrPort(words[1]); err == nil {
			p.sport = int(probe.Words[header.Sport])
		}
	}
	return p, nil
}

// fits reports whether a tuple is one of the packet's flow in the same direction.
func (p *pattern) fits(t flow.Tuple) bool {
	return t.Proto == p.proto && t.Src == p.src && t.Dst == p.dst &&
		(p.sport < 0 || int(t.Sport) == p.sport || p.isEcho()) && (p.dport < 0 || int(t.Dport) == p.dport)
}

func (p *pattern) isEcho() bool { return header.HasType(p.probe.Family, uint32(p.proto)) }

// answers reports whether a tuple is one of the packet's flow in the other direction.
func (p *pattern) answers(t flow.Tuple) bool {
	f := flow.Flow{Rewrite: flow.Rewrite{After: t}}
	return p.fits(f.Back().Tuple)
}

// concerns reports whether an entry is of the packet's flow, in whatever direction, and as any device
// sees it.
func (p *pattern) concerns(f *flow.Flow) bool {
	for _, t := range []flow.Tuple{f.Key.Tuple, f.Rewrite.After} {
		if p.fits(t) || p.answers(t) {
			return true
		}
	}
	return false
}
