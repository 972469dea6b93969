// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// checkPeers checks that the inbound events at the ends of the pair, and no others, have
// the other end as peer.
func checkPeers(t *testing.T, r *recorder, events []event.Event, one, two event.Place) {
	t.Helper()
	paired := 0
	for _, e := range events {
		want := event.Place{}
		at := event.Place{NetNS: e.NetNS, IfIndex: e.IfIndex}
		if e.Hook.Inbound() && at == one {
			want = two
		} else if e.Hook.Inbound() && at == two {
			want = one
		}
		if e.Peer != want || e.Flags.Has(event.Paired) != (want != event.Place{}) {
			t.Errorf("%s: flags %b, peer %v, want %v", r.line(&e), e.Flags, e.Peer, want)
		}
		if e.Flags.Has(event.Paired) {
			paired++
		}
	}
	if paired == 0 {
		t.Error("no event has a peer")
	}
}

// In both directions and in two namespaces, the kernel's own answer is the pair.
func TestPeer(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, a, b)
	one, two := event.Place{NetNS: a.inode, IfIndex: a.index("a0")}, event.Place{NetNS: b.inode, IfIndex: b.index("b0")}
	for _, v6 := range []bool{false, true} {
		r.events = nil
		a.pinger(v6).ping(map[bool]string{false: "192.0.2.2", true: "2001:db8::2"}[v6], 1, []byte("through the pair"))
		checkPeers(t, r, r.until(delivered(1)), one, two)
	}
	// Attach forgets which devices are pairs, and finds out again.
	if err := errors.Join(r.tracer.Detach(), r.tracer.Attach()); err != nil {
		t.Fatal(err)
	}
	r.events = nil
	b.pinger(false).ping("192.0.2.1", 2, []byte("after detaching."))
	checkPeers(t, r, r.until(delivered(1)), one, two)
}

// bridged is a namespace whose end of the pair is a port of a bridge that has the address:
//
//	a: a0 192.0.2.1/24 --- b0, port of br 192.0.2.2/24 :b
func bridged(t testing.TB) (a, b *namespace) {
	t.Helper()
	privileged(t)
	a, b = newNamespace(t, "a"), newNamespace(t, "b")
	pair(a, "a0", b, "b0")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br"
	b.add(&netlink.Bridge{LinkAttrs: attrs})
	b.must("enslave", b.nl.LinkSetMaster(b.link("b0"), b.link("br")))
	a.address("a0", "192.0.2.1/24")
	b.address("br", "192.0.2.2/24")
	a.neighbour("a0", "192.0.2.2", b, "br")
	b.neighbour("br", "192.0.2.1", a, "a0")
	ready(a, b)
	return a, b
}

// A bridge is a virtual device, too, but not one end of a pair.
func TestBridgeHasNoPeer(t *testing.T) {
	a, b := bridged(t)
	r := record(t, Options{}, a, b)
	a.pinger(false).ping("192.0.2.2", 1, []byte("through a bridge"))
	events := r.until(delivered(1))
	checkPeers(t, r, events, event.Place{NetNS: a.inode, IfIndex: a.index("a0")}, event.Place{NetNS: b.inode, IfIndex: b.index("b0")})
	for _, e := range events {
		device := r.names[e.NetNS].device(e.IfIndex)
		if e.Flags.Has(event.Bridge) != (device == "br") || e.Flags.Has(event.BridgePort) != (device == "b0") {
			t.Errorf("%s: flags %b", r.line(&e), e.Flags)
		}
	}
}

// tap makes a tap device with an address and returns the end where a machine would be.
func (n *namespace) tap(name, prefix string) *os.File {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Queues: 1, Flags: netlink.TUNTAP_NO_PI}
	n.do(func() { n.must("add "+name, netlink.LinkAdd(tap)) })
	n.t.Cleanup(func() { tap.Fds[0].Close() })
	n.address(name, prefix)
	return tap.Fds[0]
}

// echoFrame is an Ethernet frame with an echo request from 192.0.2.1 to 192.0.2.2, whose
// checksums are not right.
func echoFrame(to net.HardwareAddr, payload string) []byte {
	f := append([]byte(nil), to...)
	f = append(f, 0x02, 0, 0, 0, 0, 1)
	f = binary.BigEndian.AppendUint16(f, unix.ETH_P_IP)
	f = append(f, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(20+8+len(payload)))
	f = append(f, 0, 1, 0, 0, 64, unix.IPPROTO_ICMP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	f = append(f, 8, 0, 0, 0, 0x12, 0x34, 0, 7)
	return append(f, payload...)
}

// A frame that a tap delivers to another station is dropped, and said to be another's.
func TestTapAndOtherHost(t *testing.T) {
	privileged(t)
	n := newNamespace(t, "n")
	guest := n.tap("tap0", "192.0.2.2/24")
	ready(n)
	r := record(t, Options{}, n)
	if _, err := guest.Write(echoFrame(net.HardwareAddr{2, 0, 0, 0, 0, 99}, "to another host.")); err != nil {
		t.Fatal(err)
	}
	events := r.until(seen(event.KfreeSKB, 1))
	if len(events) < 2 {
		t.Errorf("only %d events", len(events))
	}
	for _, e := range events {
		if !e.Flags.Has(event.OtherHost) || e.Flags.Has(event.Paired) || e.TTL != 64 || n.device(e.IfIndex) != "tap0" {
			t.Errorf("%s: flags %b, TTL %d", r.line(&e), e.Flags, e.TTL)
		}
	}
}

// packetSocket opens a packet socket on a device, for frames of IPv4.
func (n *namespace) packetSocket(device string) (fd int) {
	n.t.Helper()
	n.do(func() {
		var err error
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		n.must("packet socket", err)
		n.must("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: int(n.index(device))})) // ETH_P_IP in network order
	})
	n.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// A frame from a packet socket to a packet socket. The other reader of it, IP, gives up what
// it shares with the socket, so that there is no drop.
func TestPacketSocket(t *testing.T) {
	a, b := twoHosts(t)
	from, to := a.packetSocket("a0"), b.packetSocket("b0")
	r := record(t, Options{}, a, b)
	payload := "packet to packet"
	if _, err := unix.Write(from, echoFrame(net.HardwareAddr{2, 0, 0, 0, 0, 99}, payload)); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(to, make([]byte, 2000)); err != nil || n != 14+20+8+len(payload) {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	var got string
	for _, e := range r.until(seen(event.SKBCopyDatagramIovec, 1)) {
		if string(e.Payload[:]) != payload || e.Seq != 7 {
			t.Errorf("%+v", e)
		}
		got += r.line(&e)
		if e.Flags.Has(event.PacketSocket) {
			got += " packet socket"
		}
		if e.Flags.Has(event.OtherHost) {
			got += " other host"
		}
		got += "\n"
	}
	want := `a a0 net_dev_queue request packet socket
a a0 net_dev_start_xmit request packet socket
b b0 netif_rx request other host
a a0 net_dev_xmit request packet socket
b b0 netif_receive_skb request other host
b b0 skb_copy_datagram_iovec request packet socket
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
