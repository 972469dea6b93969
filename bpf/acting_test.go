// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/bpf/internal/acting"
	"github.com/dwelltrace/dwell/correlate/event"
)

// act attaches the program of another object to where packets arrive on a device.
func (n *namespace) act(tracer *Tracer, device string) {
	n.t.Helper()
	p, err := acting.Load(tracer.Shared())
	n.must("load another object", err)
	n.attach(p, device)
}

// attach attaches a program, which is closed when the test ends.
func (n *namespace) attach(p *acting.Program, device string) {
	n.t.Helper()
	n.t.Cleanup(func() { p.Close() })
	index := int(n.index(device))
	n.must("add clsact", n.nl.QdiscAdd(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}))
	n.must("add filter", n.nl.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: p.FD(), Name: "acting", DirectAction: true,
	}))
}

// What another object did to a packet is in the same ring as the packet's events, in its
// place among them, and of the same packet.
func TestAnotherObjectRecords(t *testing.T) {
	const want = `a a0 net_dev_queue request
a a0 net_dev_start_xmit request
b b0 netif_rx request
a a0 net_dev_xmit request
b b0 netif_receive_skb request
b b0 acted request
b b0 net_dev_queue reply
b b0 net_dev_start_xmit reply
a a0 netif_rx reply
b b0 net_dev_xmit reply
a a0 netif_receive_skb reply
a a0 kfree_skb reply
a a0 skb_copy_datagram_iovec reply
`
	for _, tt := range []struct {
		name, to string
		v6       bool
	}{{"IPv4", "192.0.2.2", false}, {"IPv6", "2001:db8::2", true}} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := twoHosts(t)
			r := record(t, Options{RingBytes: 1 << 20}, a, b)
			b.act(r.tracer, "b0")
			a.pinger(tt.v6).ping(tt.to, 7, []byte("0123456789abcdefghij"))
			events := r.until(delivered(1))
			if diff := cmp.Diff(want, r.list(events)); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
			before, got := events[4], events[5]
			expect := before
			expect.Hook, expect.Time = event.Acted, got.Time
			expect.Flags, expect.Peer = before.Flags&^event.Paired|event.Received, event.Place{}
			expect.Action = event.Action{
				Deed: event.Firewall, Verdict: 1, Reason: 2, Tenant: 3, Rule: 4, To: 5, Place: event.AtForward, Nanoseconds: 6,
			}
			if diff := cmp.Diff(expect, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			r.sound()
		})
	}
}

// What another object loses is counted with the rest.
func TestAnotherObjectsLossIsCounted(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{RingBytes: 1}, a, b)
	b.act(r.tracer, "b0")
	if err := r.tracer.Detach(); err != nil {
		t.Fatal(err)
	}
	a.flood("192.0.2.2", 1000)
	s, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if sum := s.Total(); sum.Lost == 0 || sum.Lost+sum.Emitted < 1000 {
		t.Errorf("1000 echoes, of which events of another object: %+v", sum)
	}
}
