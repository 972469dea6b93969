// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/event"
)

func (n *namespace) bridge(name string, ports ...string) {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	br := &netlink.Bridge{LinkAttrs: attrs}
	n.add(br)
	n.up(name)
	for _, p := range ports {
		n.must("add port "+p, n.nl.LinkSetMaster(n.link(p), n.link(name)))
	}
}

// events as lines, each with the flags that name device and origin.
func (r *recorder) flagged(events []event.Event) (s string) {
	for i := range events {
		e := &events[i]
		s += r.line(e)
		for _, f := range []struct {
			flag event.Flags
			name string
		}{{event.BridgePort, "port"}, {event.Bridge, "bridge"}, {event.Loopback, "loopback"}, {event.Received, "received"}} {
			if e.Flags.Has(f.flag) {
				s += " " + f.name
			}
		}
		s += "\n"
	}
	return s
}

// TestBridge pings the bridge itself, and so sees port and bridge both ways:
//
//	a: a0 192.0.2.1/24 --- p0 (br0 192.0.2.2/24) :h
func TestBridge(t *testing.T) {
	privileged(t)
	a, h := newNamespace(t, "a"), newNamespace(t, "h")
	pair(a, "a0", h, "p0")
	h.bridge("br0", "p0")
	a.address("a0", "192.0.2.1/24")
	h.address("br0", "192.0.2.2/24")
	a.neighbour("a0", "192.0.2.2", h, "br0")
	h.neighbour("br0", "192.0.2.1", a, "a0")
	ready(a, h)
	r := record(t, Options{}, a, h)
	a.pinger(false).ping("192.0.2.2", 1, []byte("over the bridge"))
	want := `a a0 net_dev_queue request
a a0 net_dev_start_xmit request
h p0 netif_rx request port
a a0 net_dev_xmit request
h p0 netif_receive_skb request port
h br0 netif_receive_skb request bridge received
h br0 net_dev_queue reply bridge
h br0 net_dev_start_xmit reply bridge
h p0 net_dev_queue reply port
h p0 net_dev_start_xmit reply port
a a0 netif_rx reply
h p0 net_dev_xmit reply port
h br0 net_dev_xmit reply bridge
a a0 netif_receive_skb reply
a a0 kfree_skb reply received
a a0 skb_copy_datagram_iovec reply received
`
	if diff := cmp.Diff(want, r.flagged(r.until(delivered(1)))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	r.sound()
}

func TestLoopback(t *testing.T) {
	privileged(t)
	a := newNamespace(t, "a")
	r := record(t, Options{}, a)
	a.pinger(false).ping("127.0.0.1", 1, []byte("to myself"))
	for _, e := range r.until(seen(event.SKBCopyDatagramIovec, 2)) {
		if away := e.Hook == event.SKBCopyDatagramIovec; e.Flags.Has(event.Loopback) == away {
			t.Errorf("%s: flags %b", r.line(&e), e.Flags)
		}
	}
}
