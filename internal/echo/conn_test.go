// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func TestPayload(t *testing.T) {
	at := time.Unix(0x0102030405, 678901234)
	clock := binary.NativeEndian.AppendUint64(nil, 0x0102030405)
	clock = binary.NativeEndian.AppendUint64(clock, 678901)
	for _, tc := range []struct {
		size int
		want []byte
	}{
		{0, []byte{}},
		{4, []byte{0, 1, 2, 3}},
		{15, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}},
		{16, clock},
		{19, append(clock[:16:16], 0x10, 0x11, 0x12)},
	} {
		if diff := cmp.Diff(tc.want, Payload(tc.size, at)); diff != "" {
			t.Errorf("Payload(%d): %s", tc.size, diff)
		}
	}
	if p := Payload(300, at); p[255] != 0xff || p[256] != 0 || p[299] != 43 {
		t.Errorf("the pattern does not begin anew after 0xff: % x", p[250:])
	}
}

func TestFilterProgram(t *testing.T) {
	const id = 0xbeef
	echo := func(typ icmp.Type, id int) []byte {
		b, err := (&icmp.Message{Type: typ, Body: &icmp.Echo{ID: id, Seq: 1, Data: make([]byte, 56)}}).Marshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	inIPv4 := func(headerLen int, b []byte) []byte {
		h := make([]byte, headerLen)
		h[0] = 4<<4 | byte(headerLen/4)
		return append(h, b...)
	}
	for _, tc := range []struct {
		name     string
		protocol int
		packet   []byte
		accept   bool
	}{
		{"reply", protocolICMP, inIPv4(20, echo(ipv4.ICMPTypeEchoReply, id)), true},
		{"reply after IP options", protocolICMP, inIPv4(40, echo(ipv4.ICMPTypeEchoReply, id)), true},
		{"another's reply", protocolICMP, inIPv4(20, echo(ipv4.ICMPTypeEchoReply, id+1)), false},
		{"request", protocolICMP, inIPv4(20, echo(ipv4.ICMPTypeEcho, id)), false},
		{"cut off", protocolICMP, inIPv4(20, []byte{0, 0}), false},
		{"reply, IPv6", protocolICMPv6, echo(ipv6.ICMPTypeEchoReply, id), true},
		{"another's reply, IPv6", protocolICMPv6, echo(ipv6.ICMPTypeEchoReply, id-1), false},
		{"request, IPv6", protocolICMPv6, echo(ipv6.ICMPTypeEchoRequest, id), false},
	} {
		vm, err := bpf.NewVM(filterProgram(tc.protocol, id))
		if err != nil {
			t.Fatal(err)
		}
		n, err := vm.Run(tc.packet)
		if err != nil || (n > 0) != tc.accept {
			t.Errorf("%s: kept %d bytes, %v; want accepted %v", tc.name, n, err, tc.accept)
		}
	}
}

func TestParseTakesOnlyTheTarget(t *testing.T) {
	c := &Conn{dst: &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, id: 7, protocol: protocolICMP}
	b, err := (&icmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: &icmp.Echo{ID: 7, Seq: 9, Data: []byte("x")}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if rep, ok := c.parse(b, &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}); !ok || rep.Seq != 9 || string(rep.Payload) != "x" {
		t.Errorf("reply of the target: %+v, %v", rep, ok)
	}
	if _, ok := c.parse(b, &net.IPAddr{IP: net.IPv4(192, 0, 2, 2)}); ok {
		t.Error("took the reply of another host")
	}
}
