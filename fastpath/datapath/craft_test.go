// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// frame is a packet of the guest's as it arrives at its port, but for what a test changes.
type frame struct {
	src, dst   string // IP addresses
	mac        net.HardwareAddr
	vlan       bool
	options    []byte // IPv4's
	extension  byte   // an IPv6 extension header's number
	proto      byte
	transport  []byte
	ttl        byte
	fragment   uint16
	length     int // what the header says, if not 0
	badSum     bool
	version    byte // the first byte of the IP header, if not 0
	ethertype  uint16
	sport      uint16
	dport      uint16
	flags, tos byte
}

func guestFrame() frame {
	return frame{
		src: "192.0.2.10", dst: "198.51.100.2", mac: net.HardwareAddr{2, 0, 0, 0, 1, 1},
		proto: header.UDP, ttl: 64, sport: 1000, dport: 2000,
	}
}

func guestFrame6() frame {
	f := guestFrame()
	f.src, f.dst = "2001:db8:1::10", "2001:db8:2::2"
	return f
}

// over returns the bytes above IP.
func (f *frame) over() []byte {
	if f.transport != nil {
		return f.transport
	}
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, f.sport), f.dport)
	switch f.proto {
	case header.TCP:
		return append(ports, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, f.flags, 0, 9, 0, 0, 0, 0)
	case header.UDP, header.UDPLite:
		return append(ports, 0, 12, 0, 0, 'a', 'b', 'c', 'd')
	case header.ICMP:
		return []byte{8, 0, 0, 0, 0, 1, 0, 1, 'a', 'b', 'c', 'd'}
	case header.ICMPv6:
		return []byte{128, 0, 0, 0, 0, 1, 0, 1, 'a', 'b', 'c', 'd'}
	}
	return append(ports, make([]byte, 12)...)
}

func (f *frame) bytes() []byte {
	b := append(append([]byte{}, f.mac...), 2, 0, 0, 0, 1, 0x10)
	if f.vlan {
		b = append(b, 0x81, 0, 0, 5)
	}
	v6 := netip.MustParseAddr(f.src).Is6()
	ethertype := f.ethertype
	switch {
	case ethertype != 0:
	case v6:
		ethertype = 0x86dd
	default:
		ethertype = 0x0800
	}
	b = binary.BigEndian.AppendUint16(b, ethertype)
	if v6 {
		return append(b, f.ipv6()...)
	}
	return append(b, f.ipv4()...)
}

func (f *frame) ipv4() []byte {
	over := f.over()
	length := 20 + len(f.options) + len(over)
	if f.length != 0 {
		length = f.length
	}
	b := []byte{byte(0x45 + len(f.options)/4), f.tos}
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 1)
	b = binary.BigEndian.AppendUint16(b, f.fragment)
	b = append(b, f.ttl, f.proto, 0, 0)
	b = append(b, netip.MustParseAddr(f.src).AsSlice()...)
	b = append(b, netip.MustParseAddr(f.dst).AsSlice()...)
	b = append(b, f.options...)
	if f.version != 0 {
		b[0] = f.version
	}
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if f.badSum {
		sum ^= 1
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return append(b, over...)
}

func (f *frame) ipv6() []byte {
	over := f.over()
	next := f.proto
	if f.extension != 0 {
		over = append([]byte{next, 0, 0, 0, 0, 0, 0, 0}, over...)
		next = f.extension
	}
	length := len(over)
	if f.length != 0 {
		length = f.length - 40
	}
	b := []byte{0x60 | f.tos>>4, f.tos << 4, 0, 0}
	if f.version != 0 {
		b[0] = f.version
	}
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, next, f.ttl)
	b = append(b, netip.MustParseAddr(f.src).AsSlice()...)
	b = append(b, netip.MustParseAddr(f.dst).AsSlice()...)
	return append(b, over...)
}

// verdicts returns a table that says the same of every packet.
func always(v ruleset.Verdict) *Table {
	return &Table{Diagram: &diagram.Diagram{
		Root:   diagram.LeafBit | uint32(v)<<diagram.VerdictShift | 1,
		Leaves: []ruleset.Outcome{{Verdict: ruleset.Defer}, {Verdict: v, Rules: []uint32{5}, Decider: 5}},
	}}
}

// everywhere returns tables with the same for both families and hooks.
func everywhere(t *Table) Generation {
	return Generation{Ingress4: t, Ingress6: t, Forward4: t, Forward6: t}
}

// skb is as much of struct __sk_buff as a run is told.
type skb struct {
	_       [10]uint32
	Ifindex uint32
}

// dropped is what a program at TC returns to drop a packet, and next to let it go on.
const (
	dropped = 2
	next    = 0xffffffff
)

// judge runs the program at the port's TC ingress on a packet.
func (l *lab) judge(d *Datapath, packet []byte) (verdict uint32) {
	l.t.Helper()
	l.in(l.host, func() (err error) {
		verdict, err = d.programs[plainProgIngress].Run(&ebpf.RunOptions{Data: packet, Context: skb{Ifindex: uint32(l.port.Index)}})
		return err
	})
	return verdict
}

// counts returns what the program did at the port.
func (l *lab) counts(d *Datapath) PortCounts {
	l.t.Helper()
	ports, err := d.Ports()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, p := range ports {
		if p.Index == l.port.Index {
			return p
		}
	}
	l.t.Fatalf("no counts of port %d: %v", l.port.Index, ports)
	return PortCounts{}
}

func swap(t testing.TB, d *Datapath, g Generation) uint32 {
	t.Helper()
	generation, err := d.Swap(g)
	if err != nil {
		t.Fatal(err)
	}
	return generation
}
