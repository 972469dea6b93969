// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/agent"
)

// A VXLAN device on a port that nobody knows is made while the agent runs: what it sends is
// soon recognized below it.
func TestTunnelPortIsLearned(t *testing.T) {
	_, name := names(t, "odd", "port")
	a, b := inside(t, create(t, name[0])), inside(t, create(t, name[1]))
	a.must(a.nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a0"}, PeerName: "b0", PeerNamespace: netlink.NsFd(b.FD())}))
	b.must(b.nl.LinkSetUp(b.link("b0")))
	address(a, "a0", "192.0.2.1/24")
	a.neighbour("a0", netip.MustParseAddr("192.0.2.2"), b.hardware("b0"))
	inode := a.Inode()
	var below atomic.Bool
	follow(t, agent.Options{
		Scope: agent.Scope{
			NetNS: name[:2], Netfilter: []string{agent.NoNetfilter},
			Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		},
		OnEvent: func(e *event.Event) {
			want := event.Tunnel{
				Src: event.AddressFrom(netip.MustParseAddr("192.0.2.1")), Dst: event.AddressFrom(netip.MustParseAddr("192.0.2.2")),
				ID: 7, Type: event.VXLAN,
			}
			if e.NetNS == inode && e.Depth == 1 && e.Tunnels[0] == want {
				below.Store(true)
			}
		},
	})
	a.must(a.nl.LinkAdd(&netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: "vx0"}, VxlanId: 7, Port: 6784,
		SrcAddr: net.IPv4(192, 0, 2, 1), Group: net.IPv4(192, 0, 2, 2), VtepDevIndex: a.index("a0"),
	}))
	address(a, "vx0", "198.51.100.1/24")
	a.neighbour("vx0", netip.MustParseAddr("198.51.100.2"), net.HardwareAddr{2, 0, 0, 0, 0, 1})
	conn := a.listen()
	request, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1, Data: []byte("which port is it")}}).Marshal(nil)
	a.must(err)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !below.Load() {
		_, err := conn.WriteTo(request, &net.IPAddr{IP: net.IPv4(198, 51, 100, 2)})
		a.must(err)
		select {
		case <-t.Context().Done():
			t.Fatal("the port was not learned")
		case <-ticker.C:
		}
	}
}

func address(p *place, device, prefix string) {
	p.t.Helper()
	addr, err := netlink.ParseAddr(prefix)
	p.must(err)
	p.must(p.nl.AddrAdd(p.link(device), addr))
	p.must(p.nl.LinkSetUp(p.link(device)))
}
