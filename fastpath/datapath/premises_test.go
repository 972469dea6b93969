// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// dropping returns tables that drop all, on premises.
func dropping(p Premises) Generation {
	t := always(ruleset.Drop)
	t.Premises = p
	return everywhere(t)
}

// What the host's settings forbid is not dropped at TC.
func TestPremises(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	ping, ping6 := guestFrame(), guestFrame6()
	ping.proto, ping6.proto = header.ICMP, header.ICMPv6
	udp, udp6 := guestFrame(), guestFrame6()
	many := make([]uint16, maxZones+1)
	for i := range many {
		many[i] = uint16(i)
	}
	for _, tt := range []struct {
		name   string
		g      Generation
		packet frame
		want   Reason
	}{
		{"no rules", Generation{}, udp, NoRules},
		{"no rules IPv6", Generation{Ingress4: always(ruleset.Drop)}, udp6, NoRules},
		{"rules defer", everywhere(always(ruleset.Defer)), udp, Rules},
		{"no drop", dropping(Premises{NoDrop: true}), udp, DropForbidden},
		{"no zones at all", dropping(Premises{Zones: []uint16{}}), udp, DropForbidden},
		{"too many zones", dropping(Premises{Zones: many}), udp, DropForbidden},
		{"too many marks", dropping(Premises{Marks: []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9}}), udp, DropForbidden},
		{"state of ping", dropping(Premises{ICMPState: true}), ping, ICMPState},
		{"state of ping IPv6", dropping(Premises{ICMPState: true}), ping6, ICMPState},
		{"state of UDP", dropping(Premises{ICMPState: true}), udp, Decided},
		{"as many marks as may be", dropping(Premises{Marks: []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8}}), udp, needing(l, d, marksKernel)},
		{"as many zones as may be", dropping(Premises{Zones: many[:maxZones]}), udp, needing(l, d, zonesKernel)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			swap(t, d, tt.g)
			l.expectReason(t, d, tt.packet.bytes(), tt.want)
		})
	}
}

type need int

const (
	marksKernel need = iota
	zonesKernel
)

// needing returns what becomes of a packet that is dropped only by a kernel that can be asked.
func needing(_ *lab, d *Datapath, n need) Reason {
	switch {
	case n == zonesKernel && d.kernel.ctOptsSize < 16:
		return ZoneUnknown
	case n == marksKernel && !hasMarks():
		return MarkUnknown
	}
	return Decided
}

// A packet that takes another way with a mark is left alone, whether it has the mark or not.
func TestMarks(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	l.ip(l.host, "rule add fwmark 5 lookup 50", "-6 rule add fwmark 5 lookup 50", "rule add fwmark 6 lookup main",
		"route add blackhole default table 50", "-6 route add blackhole default table 50")
	for _, f := range []frame{guestFrame(), guestFrame6()} {
		swap(t, d, dropping(Premises{}))
		l.expectReason(t, d, f.bytes(), Decided)
		swap(t, d, dropping(Premises{Marks: []uint32{6}}))
		l.expectReason(t, d, f.bytes(), needing(l, d, marksKernel))
		swap(t, d, dropping(Premises{Marks: []uint32{6, 5}}))
		want := needing(l, d, marksKernel)
		if want == Decided {
			want = Route
		}
		l.expectReason(t, d, f.bytes(), want)
	}
}

// A packet of a connection is left alone: it keeps the connection alive. In which direction the
// connection was made does not matter.
func TestConnections(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	for _, f := range []frame{guestFrame(), guestFrame6()} {
		for _, proto := range []byte{header.UDP, header.TCP} {
			f.proto = proto
			swap(t, d, dropping(Premises{}))
			l.expectReason(t, d, f.bytes(), Decided)
			l.connect(f)
			l.expectReason(t, d, f.bytes(), Connection)
			other := f
			other.sport++
			l.expectReason(t, d, other.bytes(), Decided)
			reply := other
			reply.src, reply.dst, reply.sport, reply.dport = other.dst, other.src, other.dport, other.sport
			l.connect(reply)
			l.expectReason(t, d, other.bytes(), Connection)
		}
	}
}

// A connection may be in another zone.
func TestZones(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	f := guestFrame()
	l.run(l.host, "iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-j", "CT", "--zone", "9")
	l.run(l.host, "iptables-legacy", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "NEW")
	l.send(l.guest, "g0", f.bytes())
	eventually(t, 1, func() int { return l.flows(unix.AF_INET) })
	swap(t, d, dropping(Premises{Zones: []uint16{0}}))
	l.expectReason(t, d, f.bytes(), Decided)
	want := needing(l, d, zonesKernel)
	swap(t, d, dropping(Premises{Zones: []uint16{0, 8}}))
	l.expectReason(t, d, f.bytes(), want)
	if want == Decided {
		want = Connection
	}
	swap(t, d, dropping(Premises{Zones: []uint16{0, 8, 9}}))
	l.expectReason(t, d, f.bytes(), want)
}

// A kernel of which nothing can be asked drops nothing at TC that may have a connection.
func TestWithoutLookups(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	d.kernel.ctOptsSize = 0
	spec, err := d.spec(loadPlain)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.openPrograms(spec, nil, true); err != nil {
		t.Fatal(err)
	}
	swap(t, d, dropping(Premises{}))
	f := guestFrame()
	l.expectReason(t, d, f.bytes(), ZoneUnknown)
	f.proto = header.ICMP
	l.expectReason(t, d, f.bytes(), Decided)
}

// connect makes a connection of which the packet is the first.
func (l *lab) connect(f frame) {
	l.t.Helper()
	src, dst := netip.MustParseAddr(f.src), netip.MustParseAddr(f.dst)
	family := netlink.InetFamily(unix.AF_INET)
	if src.Is6() {
		family = unix.AF_INET6
	}
	flow := &netlink.ConntrackFlow{
		FamilyType: uint8(family), TimeOut: 100,
		Forward: netlink.IPTuple{SrcIP: src.AsSlice(), DstIP: dst.AsSlice(), SrcPort: f.sport, DstPort: f.dport, Protocol: f.proto},
		Reverse: netlink.IPTuple{SrcIP: dst.AsSlice(), DstIP: src.AsSlice(), SrcPort: f.dport, DstPort: f.sport, Protocol: f.proto},
	}
	if f.proto == header.TCP {
		flow.ProtoInfo = &netlink.ProtoInfoTCP{State: 3}
	}
	l.in(l.host, func() error { return netlink.ConntrackCreate(netlink.ConntrackTable, family, flow) })
}

// flows returns how many connections of UDP there are, in all zones.
func (l *lab) flows(family netlink.InetFamily) (n int) {
	l.t.Helper()
	l.in(l.host, func() error {
		n = 0
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, family)
		for _, f := range flows {
			if f.Forward.Protocol == unix.IPPROTO_UDP { // not what the host says of its own accord
				n++
			}
		}
		return err
	})
	return n
}

// A leaf that does not fit a packet's tag is judged again in FORWARD.
func TestManyLeaves(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	f := guestFrame()
	for leaf, want := range map[uint32]Reason{0x7ffe: Decided, 0x7fff: ManyLeaves} {
		table := always(ruleset.Pass)
		table.Diagram.Root = diagram.LeafBit | leaf
		table.Diagram.Leaves = make([]ruleset.Outcome, leaf+1)
		swap(t, d, everywhere(table))
		before := l.counts(d)
		if got := l.judge(d, f.bytes()); got != next {
			t.Errorf("leaf %d: the program returns %d", leaf, got)
		}
		after := l.counts(d)
		passed, many := after.Passed-before.Passed, after.Deferred[ManyLeaves]-before.Deferred[ManyLeaves]
		if want == Decided && (passed != 1 || many != 0) || want == ManyLeaves && (passed != 0 || many != 1) {
			t.Errorf("leaf %d: passed %d, deferred for many leaves %d", leaf, passed, many)
		}
	}
}
