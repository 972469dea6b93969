// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
)

// datagram sends one UDP datagram from the namespace.
func (n *namespace) datagram(to string, payload []byte) {
	n.t.Helper()
	n.do(func() {
		conn, err := net.Dial("udp", to)
		n.must("dial "+to, err)
		defer conn.Close()
		_, err = conn.Write(payload)
		n.must("send to "+to, err)
	})
}

const encryptedWay = `a a0 net_dev_queue reply
a a0 net_dev_start_xmit reply
b b0 netif_rx reply
a a0 net_dev_xmit reply
b b0 netif_receive_skb reply
b b0 kfree_skb reply
`

// A packet of WireGuard or ESP whose signature is known is the echo's, wherever it passes;
// another one is nothing. That signatures become known by the buffer can only be tried with
// the devices that encrypt.
func TestEncryptedIsRecognized(t *testing.T) {
	signature := "\x78\x56\x34\x12 counter 1234"
	for _, tt := range []struct {
		name, to, before string
		tunnel           event.Tunnel
	}{
		{"WireGuard", "192.0.2.2:51820", "\x04\x00\x00\x00", event.Tunnel{ID: 0x12345678, Type: event.WireGuard}},
		{"WireGuard, IPv6", "[2001:db8::2]:51820", "\x04\x00\x00\x00", event.Tunnel{ID: 0x12345678, Type: event.WireGuard}},
		{"ESP in UDP", "192.0.2.2:4500", "", event.Tunnel{ID: 0x78563412, Type: event.ESP}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := twoHosts(t)
			r := record(t, Options{}, a, b)
			var key kernelSignature
			copy(key.Bytes[:], signature)
			echo := kernelHiddenEcho{Id: 7, Seq: 9, PayloadLen: 56, Type: uint8(event.EchoReply), Ttl: 63}
			copy(echo.Payload[:], "what is encrypted")
			copy(echo.Addr.Src[:], "\x0a\x08\x00\x01\x0a\x08\x00\x02") // as IPv4 is kept
			a.must("note the echo", r.tracer.objs.Encrypted.Put(key, echo))
			a.must("note that there is one", r.tracer.objs.EncryptionSeen.Set(uint8(1)))
			a.datagram(tt.to, []byte(tt.before+"\x00another signature and more"))
			a.datagram(tt.to, []byte(tt.before+signature+"and what follows"))
			events := r.until(seen(event.KfreeSKB, 1))
			if diff := cmp.Diff(encryptedWay, r.list(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			for _, e := range events {
				want := e
				want.ID, want.Seq, want.PayloadLen, want.TTL, want.Depth = 7, 9, 56, 63, 1
				want.Src, want.Dst = address("10.8.0.1"), address("10.8.0.2")
				copy(want.Payload[:], "what is encrypted")
				want.Flags |= event.Encrypted
				want.Tunnels = [event.MaxTunnels]event.Tunnel{tt.tunnel}
				want.Tunnels[0].Src, want.Tunnels[0].Dst = address("192.0.2.1"), address("192.0.2.2")
				if tt.to[0] == '[' {
					want.Tunnels[0].Src, want.Tunnels[0].Dst = address("2001:db8::1"), address("2001:db8::2")
				}
				if diff := cmp.Diff(want, e); diff != "" {
					t.Errorf("event (-want +got):\n%s", diff)
				}
			}
		})
	}
}
