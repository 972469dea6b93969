// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// rounds is after how many rounds of a conversation of which nothing is fast it is forgotten.
const rounds = 16

// learn has two guests speak until all that they say is fast, and returns their conversation.
func (l *lone) learn(r source, proto uint8, family int) *speech {
	l.Helper()
	f := &speech{conversation: &conversation{proto: proto}, spec: &l.Spec, ttl: [2]uint8{64, 64}, tos: 0x20}
	f.sides[0].sport, f.sides[0].dport = 7, 9
	l.Spec.between(f.conversation, guests[0], guests[blueGuest], family, !l.Spec.Bridge)
	if proto == frame.ICMP || proto == frame.ICMPv6 {
		f.echo()
	}
	for round, deadline := 1, time.Now().Add(time.Minute); time.Now().Before(deadline); round++ {
		if round%rounds == 0 { // what was learnt first was an odd one, of which no other is alike
			if err := l.d.Begin(); err != nil {
				l.Fatal(err)
			}
		}
		var steps []Step
		for i := range 8 {
			p := f.step(r, i%2)
			steps = append(steps, l.Spec.steps(p, p.Bytes(), 0)...)
		}
		l.more(steps)
		if l.more(append(l.one(r, f, 0, nil), l.one(r, f, 1, nil)...)) == 2 {
			return f
		}
	}
	l.Fatalf("nothing is fast: %+v", l.flows())
	return nil
}

// one returns a short packet of a side, changed in a way.
func (l *lone) one(r source, f *speech, from int, change func(*packet)) []Step {
	for {
		p := f.step(r, from)
		if p.size > 0 || len(p.Payload) > 300 || len(p.Payload) < 40 || p.TTL < 5 {
			continue
		}
		p.whole()
		if p.Proto == frame.UDP && p.Payload[6] == 0 && p.Payload[7] == 0 {
			continue // it has no checksum that could be wrong
		}
		if change != nil {
			change(p)
		}
		return l.Spec.steps(p, p.Bytes(), 0)
	}
}

// sumUp fills in the checksum again.
func sumUp(p *packet) { frame.Sum(p.Src, p.Dst, p.Proto, p.Payload) }

type oddity struct {
	name   string
	protos []uint8
	v6     int // 1: only IPv6, -1: only IPv4
	change func(*packet)
}

func oddities() []oddity {
	tcp := []uint8{frame.TCP}
	flags := func(f uint8) func(*packet) { return func(p *packet) { p.Payload[13] = f; sumUp(p) } }
	return []oddity{
		{"opens", tcp, 0, flags(frame.SYN)},
		{"answers", tcp, 0, flags(frame.SYN | frame.ACK)},
		{"closes", tcp, 0, flags(frame.FIN | frame.ACK)},
		{"resets", tcp, 0, flags(frame.RST | frame.ACK)},
		{"urgent", tcp, 0, flags(frame.URG | frame.ACK)},
		{"acknowledges nothing", tcp, 0, flags(0)},
		{"offset is too small", tcp, 0, func(p *packet) { p.Payload[12] = 4 << 4; sumUp(p) }},
		{"offset is too large", tcp, 0, func(p *packet) { p.Payload = p.Payload[:24]; p.Payload[12] = 15 << 4; sumUp(p) }},
		{"length is another", []uint8{frame.UDP}, 0, func(p *packet) { p.Payload[5]--; sumUp(p) }},
		{"cut off", nil, 0, func(p *packet) { p.Payload = p.Payload[:7] }},
		{"another type", []uint8{frame.ICMP, frame.ICMPv6}, 0, func(p *packet) { p.Payload[0] = 13; sumUp(p) }},
		{"another code", []uint8{frame.ICMP, frame.ICMPv6}, 0, func(p *packet) { p.Payload[1] = 1; sumUp(p) }},
		{"wrong checksum", nil, 0, func(p *packet) { p.Payload[len(p.Payload)-1] ^= 0x5a }},
		{"wrong header checksum", nil, -1, func(p *packet) { p.BadSum = true }},
		{"options", nil, -1, func(p *packet) { p.Options = []byte{1, 1, 1, 0} }},
		{"hop-by-hop header", nil, 1, func(p *packet) { p.Next, p.Options = 0, []byte{p.Proto, 0, 1, 4, 0, 0, 0, 0} }},
		{"first fragment", nil, -1, func(p *packet) { p.Fragment = 0x2000 }},
		{"later fragment", nil, -1, func(p *packet) { p.Fragment = 1 }},
		{"fragment header", nil, 1, func(p *packet) { p.Fragmented, p.Fragment = true, 1 }},
		{"time to live is 1", nil, 0, func(p *packet) { p.TTL = 1 }},
		{"time to live is 0", nil, 0, func(p *packet) { p.TTL = 0 }},
		{"truncated", nil, 0, func(p *packet) { p.Short = 1 }},
		{"another class", nil, 0, func(p *packet) { p.TOS ^= 0x40 }},
		{"another destination on the link", nil, 0, func(p *packet) { p.readdress(frame.MAC("02:00:00:00:09:09"), nil) }},
		{"another source on the link", nil, 0, func(p *packet) { p.readdress(nil, frame.MAC("02:00:00:00:09:0a")) }},
		{"too long", []uint8{frame.UDP}, 0, func(p *packet) {
			p.Payload = append(p.Payload, make([]byte, 3000)...)
			p.Payload[4], p.Payload[5] = byte(len(p.Payload)>>8), byte(len(p.Payload))
			sumUp(p)
		}},
	}
}

func (p *packet) readdress(dst, src []byte) {
	s := *p.from
	if dst != nil {
		s.dstMAC = dst
	}
	if src != nil {
		s.srcMAC = src
	}
	p.from = &s
}

// A packet with something odd about it is never fast, even if all others of its flow are.
func TestNeverFast(t *testing.T) {
	for _, c := range []struct {
		name   string
		proto  uint8
		family int
	}{
		{"TCP", frame.TCP, 0},
		{"UDP", frame.UDP, 0},
		{"ICMP", frame.ICMP, 0},
		{"TCP6", frame.TCP, 1},
		{"UDP6", frame.UDP, 1},
		{"ICMPv6", frame.ICMPv6, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, r := newLone(t, "routed-tracked"), newSource(uint64(c.proto), 3)
			for _, o := range oddities() {
				if o.v6 != 0 && (o.v6 == 1) != (c.family == 1) || o.protos != nil && !slices.Contains(o.protos, c.proto) {
					continue
				}
				if err := errors.Join(l.d.Begin(), l.nl.ConntrackTableFlush(netlink.ConntrackTable)); err != nil {
					t.Fatal(err)
				}
				f := l.learn(r, c.proto, c.family)
				if fast := l.more(l.one(r, f, 0, o.change)); fast != 0 {
					t.Errorf("%s: it was fast", o.name)
				}
			}
		})
	}
}
