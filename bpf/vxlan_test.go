// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/event"
)

// tunnel adds a VXLAN device on top of another.
func (n *namespace) tunnel(name, over, local, remote string, vni, port int) {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	n.add(&netlink.Vxlan{
		LinkAttrs: attrs, VxlanId: vni, Port: port, VtepDevIndex: int(n.index(over)),
		SrcAddr: net.ParseIP(local), Group: net.ParseIP(remote), Learning: true,
	})
}

const vxlanPing = `a vxlan0 net_dev_queue request
a vxlan0 net_dev_start_xmit request
a a0 net_dev_queue request outer
a a0 net_dev_start_xmit request outer
b b0 netif_rx request outer
a a0 net_dev_xmit request outer
a vxlan0 net_dev_xmit request
b b0 netif_receive_skb request outer
b vxlan0 napi_gro_receive_entry request
b vxlan0 netif_receive_skb request
b vxlan0 net_dev_queue reply
b vxlan0 net_dev_start_xmit reply
b b0 net_dev_queue reply outer
b b0 net_dev_start_xmit reply outer
a a0 netif_rx reply outer
b b0 net_dev_xmit reply outer
b vxlan0 net_dev_xmit reply
a a0 netif_receive_skb reply outer
a vxlan0 napi_gro_receive_entry reply
a vxlan0 netif_receive_skb reply
a vxlan0 kfree_skb reply
a vxlan0 skb_copy_datagram_iovec reply
`

// overlay is twoHosts with a tunnel between them:
//
//	a: vxlan0 198.51.100.1/24 2001:db8:1::1/64 (a0) === (b0) 198.51.100.2/24 2001:db8:1::2/64 vxlan0 :b
func overlay(t *testing.T, local, remote string, port int) (a, b *namespace) {
	t.Helper()
	a, b = twoHosts(t)
	a.tunnel("vxlan0", "a0", local, remote, 0xabcdef, port)
	b.tunnel("vxlan0", "b0", remote, local, 0xabcdef, port)
	a.address("vxlan0", "198.51.100.1/24")
	b.address("vxlan0", "198.51.100.2/24")
	a.address("vxlan0", "2001:db8:1::1/64")
	b.address("vxlan0", "2001:db8:1::2/64")
	for _, other := range []string{"198.51.100.2", "2001:db8:1::2"} {
		a.neighbour("vxlan0", other, b, "vxlan0")
	}
	for _, other := range []string{"198.51.100.1", "2001:db8:1::1"} {
		b.neighbour("vxlan0", other, a, "vxlan0")
	}
	ready(a, b)
	return a, b
}

func TestVXLAN(t *testing.T) {
	const v4a, v4b, v6a, v6b = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
	for _, tt := range []struct {
		name, src, dst, outerSrc, outerDst string
		port                               int
		opts                               Options
	}{
		{"4 in 4", "198.51.100.1", "198.51.100.2", v4a, v4b, VXLANPort, Options{}},
		{"4 in 6", "198.51.100.1", "198.51.100.2", v6a, v6b, LegacyVXLANPort, Options{}},
		{"6 in 4", "2001:db8:1::1", "2001:db8:1::2", v4a, v4b, VXLANPort, Options{}},
		{"6 in 6", "2001:db8:1::1", "2001:db8:1::2", v6a, v6b, 5555, Options{VXLANPorts: []uint16{1, 5555}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := overlay(t, tt.outerSrc, tt.outerDst, tt.port)
			r := record(t, tt.opts, a, b)
			v6 := netip.MustParseAddr(tt.dst).Is6()
			a.pinger(v6).ping(tt.dst, 3, []byte("through a tunnel"))
			events := r.until(delivered(1))
			var got string
			for i := range events {
				got += r.line(&events[i])
				if events[i].Encapsulated() {
					got += " outer"
				}
				got += "\n"
				checkTunnel(t, &events[i], tt.src, tt.dst, tt.outerSrc, tt.outerDst)
			}
			if diff := cmp.Diff(vxlanPing, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			r.sound()
		})
	}
}

func checkTunnel(t *testing.T, e *event.Event, src, dst, outerSrc, outerDst string) {
	t.Helper()
	if e.Type == event.EchoReply {
		src, dst, outerSrc, outerDst = dst, src, outerDst, outerSrc
	}
	want := *e
	want.Src, want.Dst = address(src), address(dst)
	copy(want.Payload[:], "through a tunnel")
	want.PayloadLen, want.Seq = 16, 3
	want.Tunnels = [event.MaxTunnels]event.Tunnel{}
	if e.Encapsulated() {
		want.Tunnels[0] = event.Tunnel{Src: address(outerSrc), Dst: address(outerDst), ID: 0xabcdef, Type: event.VXLAN}
	}
	if diff := cmp.Diff(want, *e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func address(s string) event.Address { return event.AddressFrom(netip.MustParseAddr(s)) }
