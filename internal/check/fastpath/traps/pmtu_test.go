// SPDX-License-Identifier: Apache-2.0

package traps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

const (
	// beyond is behind a router outside, deep behind a router that is a guest.
	beyond4, beyond6 = "198.51.100.8", "2001:db8:5::8"
	deep4, deep6     = "192.168.5.10", "2001:db8:a5::10"
	out6             = "2001:db8:b::8"
	// small is the largest packet that the router with the smaller MTU lets pass, in bytes.
	small = 1300
)

// way is a network in which packets have to become smaller.
type way struct {
	*lab
	beyond, deep *netns.NS
}

// newWay makes the network: deep – guest – hypervisor – out – beyond, all with an MTU of 1500.
func newWay(t *testing.T) *way {
	t.Helper()
	l := newLab(t)
	w := &way{lab: l, beyond: l.space(), deep: l.space()}
	l.uplink("ens3")
	for _, ns := range []*netns.NS{l.hv, l.guest, l.out} {
		// As often as it is asked: what is tested is not how often a host answers.
		l.run(ns, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")
	}
	l.run(l.hv, "ip addr add 2001:db8:a::1/64 dev br-red nodad")
	l.run(l.hv, "ip addr add 2001:db8:b::1/64 dev ens3 nodad")
	l.run(l.hv, "ip route add default via "+out6)
	l.run(l.hv, "ip route add 192.168.5.0/24 via "+guestAddr)
	l.run(l.hv, "ip route add 2001:db8:a5::/64 via 2001:db8:a::10")
	l.run(l.guest, "ip addr add 2001:db8:a::10/64 dev eth0 nodad")
	l.run(l.guest, "ip route add default via 2001:db8:a::1")
	l.run(l.out, "ip addr add "+out6+"/64 dev eth0 nodad")
	l.run(l.out, "ip route add 2001:db8:a::/64 via 2001:db8:b::1")
	l.run(l.out, "ip route add 2001:db8:a5::/64 via 2001:db8:b::1")
	w.host(l.out, w.beyond, "198.51.100.", "2001:db8:5::", "8")
	w.host(l.guest, w.deep, "192.168.5.", "2001:db8:a5::", "10")
	return w
}

// host puts somebody behind a router, on a network of their own.
func (w *way) host(router, ns *netns.NS, net4, net6, last string) {
	w.Helper()
	w.run(router, "ip link add eth1 type veth peer name eth0 netns "+ns.Name())
	w.run(router, "ip addr add "+net4+"1/24 dev eth1")
	w.run(router, "ip addr add "+net6+"1/64 dev eth1 nodad")
	w.run(router, "ip link set eth1 up")
	w.run(ns, "ip addr add "+net4+last+"/24 dev eth0")
	w.run(ns, "ip addr add "+net6+last+"/64 dev eth0 nodad")
	w.run(ns, "ip link set eth0 up")
	w.run(ns, "ip route add default via "+net4+"1")
	w.run(ns, "ip route add default via "+net6+"1")
}

// narrow makes a router let pass only small packets to who is behind it.
func (w *way) narrow(router *netns.NS, host string) {
	w.Helper()
	w.run(router, fmt.Sprintf("ip route add %s dev eth1 mtu %d", host, small))
}

// flowing is a TCP connection, one end of which sends as much as there is room for.
type flowing struct {
	sender *net.TCPConn
	came   atomic.Int64
	work   sync.WaitGroup
}

// flow opens a connection from one to another. down: the one who was called sends.
func (w *way) flow(from, to *netns.NS, addr string, down bool) *flowing {
	w.Helper()
	var l net.Listener
	w.in(to, func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(addr, "0"))
		return err
	})
	defer l.Close()
	var caller net.Conn
	w.in(from, func() (err error) {
		caller, err = (&net.Dialer{Timeout: time.Minute}).DialContext(w.Context(), "tcp", l.Addr().String())
		return err
	})
	called, err := l.Accept()
	if err != nil {
		w.Fatal(err)
	}
	sender, receiver := caller, called
	if down {
		sender, receiver = called, caller
	}
	f := &flowing{sender: sender.(*net.TCPConn)}
	ctx, stop := context.WithCancel(context.Background())
	w.Cleanup(func() {
		stop()
		if err := errors.Join(sender.Close(), receiver.Close()); err != nil {
			w.Error(err)
		}
		f.work.Wait()
	})
	f.work.Go(func() { f.send(ctx) })
	f.work.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := receiver.Read(buf)
			f.came.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	return f
}

// send sends a little at a time, so that the machine has time for others.
func (f *flowing) send(ctx context.Context) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	buf := make([]byte, 16<<10)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := f.sender.Write(buf); err != nil {
			return
		}
	}
}

// info is what the sender's kernel knows of the connection.
func (w *way) info(f *flowing) (info *unix.TCPInfo) {
	w.Helper()
	raw, err := f.sender.SyscallConn()
	if err != nil {
		w.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(err, failed); err != nil {
		w.Fatal(err)
	}
	return info
}

// goesOn waits until the connection has made progress, with fast packets both ways.
func (w *way) goesOn(f *flowing, what string) {
	w.Helper()
	const enough = 256 << 10
	a, b := w.fast()
	came := f.came.Load()
	w.until(what, func() bool {
		from, to := w.fast()
		return f.came.Load() >= came+enough && from > a+20 && to > b+20
	})
}

// narrows has the way become narrower, waits until the sender knows, and sees that the connection goes on.
func (w *way) narrows(f *flowing, narrow func()) {
	w.Helper()
	w.goesOn(f, "fast both ways")
	if was := w.info(f); was.Pmtu <= small || was.Snd_mss <= small {
		w.Fatalf("packets were small already: %d bytes, segments %d", was.Pmtu, was.Snd_mss)
	}
	narrow()
	w.until("the sender is told that packets are too long", func() bool { return w.info(f).Pmtu == small })
	w.goesOn(f, "the connection goes on with smaller packets, fast")
	if is := w.info(f); is.Pmtu != small || is.Snd_mss > small-40 {
		w.Errorf("packets of %d bytes with segments of %d, and %d fit", is.Pmtu, is.Snd_mss, small)
	}
	w.nothingDiffers()
}

// family is a way in which addresses are treated, and who has which.
type family struct {
	name               string
	v6, masquerade     bool
	near, beyond, deep string
}

var families = []family{
	{"IPv4 with NAT", false, false, outAddr, beyond4, deep4},
	{"IPv6", true, false, out6, beyond6, deep6},
	{"IPv6 with NAT", true, true, out6, beyond6, deep6},
}

// eachFamily runs a test in a network of its own for each.
func eachFamily(t *testing.T, test func(*way, *family)) {
	for i := range families {
		family := &families[i]
		t.Run(family.name, func(t *testing.T) {
			w := newWay(t)
			if family.masquerade {
				w.run(w.hv, "nft add table ip6 nat")
				w.run(w.hv, "nft add chain ip6 nat post { type nat hook postrouting priority 100; }")
				w.run(w.hv, "nft add rule ip6 nat post oifname ens3 masquerade")
			}
			w.start(0)
			test(w, family)
		})
	}
}

// TestRouterOutsideIsNarrow has the way behind a router outside become narrower while a guest's connection is fast: what
// the router says of it has to reach the guest, translated, although the flow's own packets never see the kernel.
func TestRouterOutsideIsNarrow(t *testing.T) {
	eachFamily(t, func(w *way, f *family) {
		stream := w.flow(w.guest, w.beyond, f.beyond, false)
		w.narrows(stream, func() { w.narrow(w.out, f.beyond) })
	})
}

// TestRouterInsideIsNarrow is the other way: the router is a guest, and what it says has to reach who sends from outside.
func TestRouterInsideIsNarrow(t *testing.T) {
	eachFamily(t, func(w *way, f *family) {
		stream := w.flow(w.deep, w.beyond, f.beyond, true)
		w.narrows(stream, func() { w.narrow(w.guest, f.deep) })
	})
}

// TestNICIsNarrow has the hypervisor's NIC become narrower.
func TestNICIsNarrow(t *testing.T) {
	eachFamily(t, func(w *way, f *family) {
		stream := w.flow(w.guest, w.beyond, f.beyond, false)
		w.narrows(stream, func() { w.run(w.hv, fmt.Sprintf("ip link set ens3 mtu %d", small)) })
	})
}

// TestBridgeIsNarrow has the guest's bridge become narrower.
func TestBridgeIsNarrow(t *testing.T) {
	eachFamily(t, func(w *way, f *family) {
		stream := w.flow(w.guest, w.beyond, f.beyond, true)
		w.narrows(stream, func() { w.run(w.hv, fmt.Sprintf("ip link set br-red mtu %d", small)) })
	})
}
