// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// guard is a packet that the program must leave to FORWARD, although the rules drop all.
type guard struct {
	name   string
	v6     bool
	change func(*frame)
	raw    func([]byte) []byte
	want   Reason
}

func packetGuards() []guard {
	return []guard{
		{name: "VLAN", change: func(f *frame) { f.vlan = true }, want: VLAN},
		{name: "another's hardware address", change: func(f *frame) { f.mac[5] = 0x99 }, want: Bridged},
		{name: "IPv6 to another's hardware address", v6: true, change: func(f *frame) { f.mac[5] = 0x99 }, want: Bridged},
		{name: "broadcast", change: func(f *frame) { f.mac = net.HardwareAddr{255, 255, 255, 255, 255, 255} }, want: Bridged},
		{name: "checksum", change: func(f *frame) { f.badSum = true }, want: BrokenHeader},
		{name: "version", change: func(f *frame) { f.version = 0x65 }, want: BrokenHeader},
		{name: "IPv6 version", v6: true, change: func(f *frame) { f.version = 0x40 }, want: BrokenHeader},
		{name: "short header length", change: func(f *frame) { f.version = 0x44 }, want: BrokenHeader},
		{name: "length below the header's", change: func(f *frame) { f.length = 19; f.proto = 47 }, want: BrokenHeader},
		{name: "options", change: func(f *frame) { f.options = []byte{1, 1, 1, 0} }, want: IPOptions},
		{name: "destination options", v6: true, change: func(f *frame) { f.extension = 60 }, want: IPOptions},
		{name: "routing header", v6: true, change: func(f *frame) { f.extension = 43 }, want: IPOptions},
		{name: "authentication header", v6: true, change: func(f *frame) { f.extension = 51 }, want: IPOptions},
		{name: "hop-by-hop options", v6: true, raw: func(b []byte) []byte { b[14+6] = 0; return b }, want: IPOptions},
		{name: "no next header", v6: true, raw: func(b []byte) []byte { b[14+6] = 59; return b }, want: IPOptions},
		{name: "jumbogram", v6: true, change: func(f *frame) { f.length = 40 }, want: IPOptions},
		{name: "first fragment", change: func(f *frame) { f.fragment = 0x2000 }, want: Fragment},
		{name: "later fragment", change: func(f *frame) { f.fragment = 7 }, want: Fragment},
		{name: "IPv6 fragment", v6: true, change: func(f *frame) { f.extension = 44 }, want: Fragment},
		{name: "TTL 1", change: func(f *frame) { f.ttl = 1 }, want: TTL},
		{name: "TTL 0", change: func(f *frame) { f.ttl = 0 }, want: TTL},
		{name: "hop limit 1", v6: true, change: func(f *frame) { f.ttl = 1 }, want: TTL},
		{name: "shorter than its length", change: func(f *frame) { f.length = 33 }, want: Truncated},
		{name: "IPv6 shorter than its length", v6: true, change: func(f *frame) { f.length = 53 }, want: Truncated},
		{name: "short TCP", change: short(header.TCP, 19), want: ShortTransport},
		{name: "short UDP", change: short(header.UDP, 7), want: ShortTransport},
		{name: "short ICMP", change: short(header.ICMP, 7), want: ShortTransport},
		{name: "short SCTP", change: short(header.SCTP, 11), want: ShortTransport},
		{name: "short DCCP", change: short(header.DCCP, 11), want: ShortTransport},
		{name: "short UDP-Lite", change: short(header.UDPLite, 7), want: ShortTransport},
		{name: "short ICMPv6", v6: true, change: short(header.ICMPv6, 7), want: ShortTransport},
		{name: "short IPv6 TCP", v6: true, change: short(header.TCP, 19), want: ShortTransport},
		{name: "UDP cut by the length", change: func(f *frame) { f.length = 27 }, want: ShortTransport},
		{name: "GRE", change: func(f *frame) { f.proto = 47 }, want: Protocol},
		{name: "SCTP", change: func(f *frame) { f.proto = header.SCTP }, want: Protocol},
		{name: "ICMPv6 over IPv4", change: func(f *frame) { f.proto = header.ICMPv6 }, want: Protocol},
		{name: "echo reply", change: typed(header.ICMP, 0), want: ICMPType},
		{name: "ICMP error", change: typed(header.ICMP, 3), want: ICMPType},
		{name: "ICMPv6 echo reply", v6: true, change: typed(header.ICMPv6, 129), want: ICMPType},
		{name: "neighbour solicitation", v6: true, change: typed(header.ICMPv6, 135), want: ICMPType},
		{name: "to multicast", change: func(f *frame) { f.dst = "224.0.0.5" }, want: Address},
		{name: "to broadcast", change: func(f *frame) { f.dst = "255.255.255.255" }, want: Address},
		{name: "to loopback", change: func(f *frame) { f.dst = "127.0.0.1" }, want: Address},
		{name: "from multicast", change: func(f *frame) { f.src = "239.0.0.1" }, want: Address},
		{name: "from nowhere", change: func(f *frame) { f.src = "0.0.0.0" }, want: Address},
		{name: "IPv6 to multicast", v6: true, change: func(f *frame) { f.dst = "ff0e::5" }, want: Address},
		{name: "IPv6 from link-local", v6: true, change: func(f *frame) { f.src = "fe80::10" }, want: Address},
		{name: "IPv6 from nowhere", v6: true, change: func(f *frame) { f.src = "::" }, want: Address},
		{name: "IPv6 from loopback", v6: true, change: func(f *frame) { f.src = "::1" }, want: Address},
		{name: "to the host", change: func(f *frame) { f.dst = "198.51.100.1" }, want: Route},
		{name: "IPv6 to the host", v6: true, change: func(f *frame) { f.dst = "2001:db8:2::1" }, want: Route},
		{name: "back to the bridge", change: func(f *frame) { f.dst = "192.0.2.20" }, want: Route},
		{name: "IPv6 back to the bridge", v6: true, change: func(f *frame) { f.dst = "2001:db8:1::20" }, want: Route},
		{name: "without a route", change: func(f *frame) { f.dst = "203.0.113.1" }, want: Route},
		{name: "IPv6 without a route", v6: true, change: func(f *frame) { f.dst = "2001:db8:9::1" }, want: Route},
		{name: "broadcast of a network", change: func(f *frame) { f.dst = "198.51.100.255" }, want: Route},
		{name: "larger than the MTU", change: func(f *frame) { f.transport = make([]byte, 1481) }, want: Route},
		{name: "IPv6 larger than the MTU", v6: true, change: func(f *frame) { f.transport = make([]byte, 1461) }, want: Route},
	}
}

// short leaves only some bytes of what is above IP.
func short(proto byte, n int) func(*frame) {
	return func(f *frame) {
		f.proto = proto
		f.transport = f.over()[:n]
	}
}

// typed makes an ICMP message of that type.
func typed(proto, kind byte) func(*frame) {
	return func(f *frame) {
		f.proto = proto
		f.transport = f.over()
		f.transport[0] = kind
	}
}

func (g guard) packet() []byte {
	f := guestFrame()
	if g.v6 {
		f = guestFrame6()
	}
	if g.change != nil {
		g.change(&f)
	}
	b := f.bytes()
	if g.raw != nil {
		b = g.raw(b)
	}
	return b
}

// expectReason judges a packet and compares what becomes of it.
func (l *lab) expectReason(t *testing.T, d *Datapath, packet []byte, want Reason) {
	t.Helper()
	before := l.counts(d)
	got := l.judge(d, packet)
	after := l.counts(d)
	expect := uint32(next)
	if want == Decided {
		expect = dropped
	}
	if got != expect {
		t.Errorf("the program returns %d, want %d", int32(got), int32(expect))
	}
	deferred := map[Reason]uint64{}
	for r, n := range after.Deferred {
		if n > before.Deferred[r] {
			deferred[r] = n - before.Deferred[r]
		}
	}
	wantDeferred := map[Reason]uint64{want: 1}
	if want == Decided {
		wantDeferred = map[Reason]uint64{}
	}
	if diff := cmp.Diff(wantDeferred, deferred); diff != "" {
		t.Errorf("deferred, by reason (-want +got):\n%s", diff)
	}
	if after.Packets != before.Packets+1 {
		t.Errorf("%d packets, want 1", after.Packets-before.Packets)
	}
	if after.Dropped-before.Dropped != 1-uint64(len(wantDeferred)) || after.Passed != before.Passed {
		t.Errorf("dropped %d, passed %d", after.Dropped-before.Dropped, after.Passed-before.Passed)
	}
}

// What is dropped is what would be forwarded, and what would be: nothing else.
func TestGuards(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	swap(t, d, everywhere(always(ruleset.Drop)))
	for _, g := range packetGuards() {
		t.Run(strings.ReplaceAll(g.name, " ", "_"), func(t *testing.T) {
			l.expectReason(t, d, g.packet(), g.want)
		})
	}
}

// What no guard holds back is dropped, or the guards' tests would show nothing.
func TestDrops(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	swap(t, d, everywhere(always(ruleset.Drop)))
	for _, g := range []guard{
		{name: "UDP"},
		{name: "TCP", change: func(f *frame) { f.proto = header.TCP }},
		{name: "ping", change: func(f *frame) { f.proto = header.ICMP }},
		{name: "TTL 2", change: func(f *frame) { f.ttl = 2 }},
		{name: "not to be fragmented", change: func(f *frame) { f.fragment = 0x4000 }},
		{name: "padded", raw: func(b []byte) []byte { return append(b, make([]byte, 20)...) }},
		{name: "as large as the MTU", change: func(f *frame) { f.transport = make([]byte, 1480) }},
		{name: "without a neighbour", change: func(f *frame) { f.dst = "198.51.100.77" }},
		{name: "IPv6 UDP", v6: true},
		{name: "IPv6 TCP", v6: true, change: func(f *frame) { f.proto = header.TCP }},
		{name: "IPv6 ping", v6: true, change: func(f *frame) { f.proto = header.ICMPv6 }},
		{name: "IPv6 hop limit 2", v6: true, change: func(f *frame) { f.ttl = 2 }},
	} {
		t.Run(strings.ReplaceAll(g.name, " ", "_"), func(t *testing.T) {
			l.expectReason(t, d, g.packet(), Decided)
		})
	}
}

// What is not IP is none of the firewall's business, and no reason to wonder.
func TestNotIP(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	swap(t, d, everywhere(always(ruleset.Drop)))
	f := guestFrame()
	f.ethertype = 0x0806
	if got := l.judge(d, f.bytes()); got != next {
		t.Errorf("the program returns %d", int32(got))
	}
	if diff := cmp.Diff(PortCounts{Index: l.port.Index, Attached: hows()[0], Packets: 1, Deferred: map[Reason]uint64{}}, l.counts(d)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
