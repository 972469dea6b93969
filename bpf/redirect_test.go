// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/bpf/internal/acting"
	"github.com/dwelltrace/dwell/correlate/event"
)

// redirected are two hosts behind a third, on which nothing is routed: a program at each of its
// devices sends echoes to the other one.
type redirected struct{ guest, hypervisor, outside *namespace }

func newRedirected(t *testing.T) *redirected {
	t.Helper()
	privileged(t)
	r := &redirected{newNamespace(t, "guest"), newNamespace(t, "hypervisor"), newNamespace(t, "outside")}
	for _, end := range []struct {
		host         *namespace
		device, port string
		own4, gw4    string
		own6, gw6    string
	}{
		{r.guest, "g0", "va", "192.0.2.2", "192.0.2.1", "2001:db8:1::2", "2001:db8:1::1"},
		{r.outside, "o0", "vb", "198.51.100.2", "198.51.100.1", "2001:db8:2::2", "2001:db8:2::1"},
	} {
		pair(r.hypervisor, end.port, end.host, end.device)
		for _, a := range [][3]string{{end.own4, end.gw4, "0.0.0.0/0"}, {end.own6, end.gw6, "::/0"}} {
			bits := map[bool]string{true: "/24", false: "/64"}[netip.MustParseAddr(a[0]).Is4()]
			end.host.address(end.device, a[0]+bits)
			r.hypervisor.address(end.port, a[1]+bits)
			end.host.route(a[2], a[1])
			end.host.neighbour(end.device, a[1], r.hypervisor, end.port)
			r.hypervisor.neighbour(end.port, a[0], end.host, end.device)
		}
	}
	return r
}

// send has a program send what arrives on a device of the hypervisor's to another, and on to a
// host's device behind that.
func (r *redirected) send(tracer *Tracer, how acting.How, from, to string, host *namespace, device string) acting.Way {
	n := r.hypervisor
	n.t.Helper()
	w := acting.Way{How: how, To: n.index(to)}
	copy(w.MACs[:6], host.link(device).Attrs().HardwareAddr)
	copy(w.MACs[6:], n.link(to).Attrs().HardwareAddr)
	if how == acting.ToPeer {
		w.PeerNetNS, w.PeerIfIndex = host.inode, host.index(device)
	}
	p, err := acting.LoadRedirecting(w, tracer.Shared())
	n.must("load a program that redirects", err)
	n.attach(p, from)
	return w
}

// Which hooks a redirected packet passes, by how it is redirected: what is given to a device passes
// those of that device, and what is given to its other end none at all, so that the record of
// the redirection is all there is of its arrival.
func TestHooksOfRedirectedPackets(t *testing.T) {
	const out = `guest g0 net_dev_queue request
guest g0 net_dev_start_xmit request
hypervisor va netif_rx request
guest g0 net_dev_xmit request
hypervisor va netif_receive_skb request
hypervisor va acted request
hypervisor vb net_dev_queue request
hypervisor vb net_dev_start_xmit request
outside o0 netif_rx request
hypervisor vb net_dev_xmit request
outside o0 netif_receive_skb request
outside o0 net_dev_queue reply
outside o0 net_dev_start_xmit reply
hypervisor vb netif_rx reply
outside o0 net_dev_xmit reply
hypervisor vb netif_receive_skb reply
hypervisor vb acted reply
`
	const queued = `hypervisor va net_dev_queue reply
hypervisor va net_dev_start_xmit reply
guest g0 netif_rx reply
hypervisor va net_dev_xmit reply
guest g0 netif_receive_skb reply
`
	const taken = `guest g0 kfree_skb reply
guest g0 skb_copy_datagram_iovec reply
`
	for _, tt := range []struct {
		name      string
		out, back acting.How
		v6        bool
		want      string
	}{
		{"to devices", acting.ToDevice, acting.ToDevice, false, out + queued + taken},
		{"to devices, IPv6", acting.ToDevice, acting.ToDevice, true, out + queued + taken},
		{"to neighbours", acting.ToNeighbour, acting.ToNeighbour, false, out + queued + taken},
		{"to neighbours, IPv6", acting.ToNeighbour, acting.ToNeighbour, true, out + queued + taken},
		{"to a device and to a peer", acting.ToDevice, acting.ToPeer, false, out + taken},
		{"to a neighbour and to a peer, IPv6", acting.ToNeighbour, acting.ToPeer, true, out + taken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newRedirected(t)
			r := record(t, Options{}, w.guest, w.hypervisor, w.outside)
			// Others on this machine may flood their networks.
			if err := r.tracer.SetFilter(Filter{NetNS: []uint32{w.guest.inode, w.hypervisor.inode, w.outside.inode}}); err != nil {
				t.Fatal(err)
			}
			forth := w.send(r.tracer, tt.out, "va", "vb", w.outside, "o0")
			back := w.send(r.tracer, tt.back, "vb", "va", w.guest, "g0")
			to := map[bool]string{false: "198.51.100.2", true: "2001:db8:2::2"}[tt.v6]
			w.guest.pinger(tt.v6).ping(to, 7, []byte("0123456789abcdefghij"))
			events := r.until(delivered(1))
			if diff := cmp.Diff(tt.want, r.list(events)); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
			checkRewritten(t, events[5:7], forth)
			checkRewritten(t, events[16:18], back)
			r.sound()
		})
	}
}

// checkRewritten checks that the record of a redirection, the first of the events, says of the packet
// what the next hook sees, if that is one of the device, and what the program was told.
func checkRewritten(t *testing.T, events []event.Event, w acting.Way) {
	t.Helper()
	act, next := events[0], events[1]
	want := event.Rewrite{Src: act.Src, Dst: act.Dst, ID: act.ID, TTL: act.TTL - 1, LeaseMilliseconds: 9500, Peer: event.Place{NetNS: w.PeerNetNS, IfIndex: w.PeerIfIndex}}
	if w.How == acting.ToNeighbour {
		want.Flags = event.RewriteNextHop
	} else {
		want.To, want.From = [6]byte(w.MACs[:6]), [6]byte(w.MACs[6:])
	}
	if diff := cmp.Diff(want, act.Rewrite); diff != "" {
		t.Errorf("rewritten (-want +got):\n%s", diff)
	}
	if act.Action.Deed != event.Redirect || act.Action.To != w.To || act.Action.Place != event.AtTC || act.Action.Nanoseconds == 0 {
		t.Errorf("action %+v", act.Action)
	}
	if w.How != acting.ToPeer && (next.SKB != act.SKB || next.TTL != act.Rewrite.TTL || next.IfIndex != w.To) {
		t.Errorf("the next hook sees %+v after %+v", next, act)
	}
	if w.How == acting.ToPeer && (next.NetNS != w.PeerNetNS || next.TTL != act.Rewrite.TTL) {
		t.Errorf("it is taken as %+v after %+v", next, act)
	}
}
