// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// quotedWay is the way of an error that a router sends to a raw socket: Linux gives each raw
// ICMP socket a copy, and frees the original as consumed.
const quotedWay = `r r0 net_dev_queue error
r r0 net_dev_start_xmit error
a a0 netif_rx error
r r0 net_dev_xmit error
a a0 netif_receive_skb error
a a0 skb_copy_datagram_iovec error
`

// A router answers a request that it cannot forward: the error is followed to the socket, as
// the request that it quotes.
func TestErrorsOfARouter(t *testing.T) {
	a, router, _ := routed(t)
	router.must("mtu", router.nl.LinkSetMTU(router.link("r1"), 1280))
	payload := bytes.Repeat([]byte("quoted "), 190) // 1330 bytes
	for _, tt := range []struct {
		name, src, to, from string
		v6                  bool
		ttl                 int
		size                int
		id                  uint32
	}{
		{"time exceeded", "192.0.2.1", "198.51.100.1", "192.0.2.254", false, 1, 30, 11 << 8},
		{"unreachable", "192.0.2.1", "203.0.113.1", "192.0.2.254", false, 64, 30, 3 << 8},
		{"fragmentation needed", "192.0.2.1", "198.51.100.1", "192.0.2.254", false, 64, 1330, 3<<8 + 4},
		{"time exceeded, IPv6", "2001:db8:a::1", "2001:db8:b::1", "2001:db8:a::fe", true, 1, 30, 3 << 8},
		{"unreachable, IPv6", "2001:db8:a::1", "2001:db8:c::1", "2001:db8:a::fe", true, 64, 30, 1 << 8},
		{"too big, IPv6", "2001:db8:a::1", "2001:db8:b::1", "2001:db8:a::fe", true, 64, 1330, 2 << 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := record(t, Options{}, a, router)
			p := a.pinger(tt.v6)
			level, option := unix.IPPROTO_IP, unix.IP_TTL
			if tt.v6 {
				level, option = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
			}
			p.setsockopt(level, option, string([]byte{byte(tt.ttl), 0, 0, 0}))
			if !tt.v6 { // do not fragment
				p.setsockopt(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, string([]byte{unix.IP_PMTUDISC_PROBE, 0, 0, 0}))
			}
			p.send(tt.to, 9, payload[:tt.size])
			p.take()
			events := r.until(func(events []event.Event) bool {
				return count(events, func(e *event.Event) bool { return e.Hook == event.SKBCopyDatagramIovec && e.Type == event.RequestError }) > 0
			})
			var got string
			for _, e := range events {
				if e.Type != event.RequestError || e.Hook == event.KfreeSKB {
					continue
				}
				got += r.line(&e) + "\n"
				want := e
				want.ID, want.Seq, want.PayloadLen, want.Depth = 0x1234, 9, uint16(tt.size), 1
				want.Src, want.Dst = address(tt.src), address(tt.to)
				copy(want.Payload[:], payload)
				want.Tunnels = [event.MaxTunnels]event.Tunnel{{Src: address(tt.from), Dst: address(tt.src), ID: tt.id, Type: event.ICMPError}}
				if diff := cmp.Diff(want, e); diff != "" {
					t.Errorf("event (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(quotedWay, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// take takes the next message from the socket, whatever it is.
func (p *pinger) take() {
	p.t.Helper()
	if _, _, err := p.conn.ReadFrom(make([]byte, 1<<16)); err != nil {
		p.t.Fatal(err)
	}
}

// A queue that has room for one fragment drops the next: that is recorded, as the echo's, from
// what the first one said.
func TestLaterFragmentDies(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		v6       bool
	}{{"IPv4", "192.0.2.2", false}, {"IPv6", "2001:db8::2", true}} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := twoHosts(t)
			// After the first fragment the bucket is empty for most of a second.
			const rate, burst = 2000, 1600
			a.must("tbf", a.nl.QdiscReplace(&netlink.Tbf{
				QdiscAttrs: netlink.QdiscAttrs{LinkIndex: int(a.index("a0")), Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
				Rate:       rate, Buffer: netlink.Xmittime(rate, burst), Limit: burst,
			}))
			r := record(t, Options{}, a, b)
			// IPv6 tells the sender that a fragment was dropped.
			_ = a.pinger(tt.v6).try(tt.to, 5, bytes.Repeat([]byte("fragment"), 500))
			events := r.until(seen(event.KfreeSKB, 1))
			for _, e := range events {
				first := e.Hook != event.KfreeSKB
				if e.Flags.Has(event.FirstFragment) != first || e.Flags.Has(event.LaterFragment) == first {
					t.Errorf("%s: flags %b", r.line(&e), e.Flags)
				}
				if string(e.Payload[:]) != "fragmentfragment" || e.Seq != 5 || e.ID != 0x1234 || e.Type != event.EchoRequest || e.Dst != address(tt.to) {
					t.Errorf("%s: %+v", r.line(&e), e)
				}
			}
			last := events[len(events)-1]
			if got := r.line(&last); got != "a a0 kfree_skb request" || r.reasons.Name(last.Code) != "QDISC_DROP" {
				t.Errorf("last event %q, reason %s", got, r.reasons.Name(last.Code))
			}
		})
	}
}
