// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"net/netip"
	"testing"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// message returns a frame with an ICMP message.
func message(src, dst string, tos, typ, code uint8) []byte {
	p := frame.IP{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: frame.ICMP, TTL: 64, TOS: tos}
	if p.Src.Is6() {
		p.Proto = frame.ICMPv6
	}
	p.Payload = frame.Sum(p.Src, p.Dst, p.Proto, frame.Message(typ, code, 0, 0, make([]byte, 48)))
	return frame.Ethernet(frame.MAC(ports[Guest0].far), frame.MAC(redMAC), 0, p.Bytes())
}

// What depends on time is not compared, and all else is.
func TestNoise(t *testing.T) {
	const guest4, guest6 = "192.168.0.10", "2001:db8:a::10"
	for _, c := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"no route", message(red4, guest4, 0xc0, 3, 0), true},
		{"no neighbour", message(red4, guest4, 0xc0, 3, 1), true},
		{"no neighbour, said by somebody outside", message(router4, guest4, 0, 3, 1), false},
		{"a closed port", message(red4, guest4, 0xc0, 3, 3), false},
		{"too long", message(red4, guest4, 0xc0, 3, 4), false},
		{"too many hops", message(red4, guest4, 0xc0, 11, 0), false},
		{"waited for a fragment", message(red4, guest4, 0xc0, 11, 1), true},
		{"an echo", message(router4, guest4, 0, 8, 0), false},
		{"no route in IPv6", message(red6, guest6, 0, 1, 0), false},
		{"no neighbour in IPv6", message(red6, guest6, 0, 1, 3), true},
		{"a closed port in IPv6", message(red6, guest6, 0, 1, 4), false},
		{"too long in IPv6", message(red6, guest6, 0, 2, 0), false},
		{"too many hops in IPv6", message(red6, guest6, 0, 3, 0), false},
		{"waited for a fragment in IPv6", message(red6, guest6, 0, 3, 1), true},
		{"an echo in IPv6", message(router6, guest6, 0, 128, 0), false},
		{"looks for a neighbour", message(red6, guest6, 0, 135, 0), true},
		{"says who is where", message("fe80::1", guest6, 0, 136, 0), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := noise(c.frame); got != c.want {
				t.Errorf("noise: %t", got)
			}
		})
	}
}

// The kernel does the same again: nothing that a case has taught it outlives the case. In these, somebody tells the hypervisor
// itself that packets are too long.
func TestKernelAgrees(t *testing.T) {
	privilegetest.NetNS(t)
	spec, err := SpecNamed("vxlan-routed-nat")
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNetwork("dwelltest-fastagain", spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	alone := &Twin{n, Alone{}}
	for _, seed := range []uint64{17, 20} {
		c := NewCase(spec, seed, 2000)
		first, err := alone.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := alone.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := first.Compare(again); d != "" {
			t.Errorf("seed %d: %s", seed, d)
		}
	}
}
