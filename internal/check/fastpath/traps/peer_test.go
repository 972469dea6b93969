// SPDX-License-Identifier: Apache-2.0

package traps

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMarkStaysOnHost wants a guest not to see marks and priorities of the host's: between namespaces
// the kernel takes them away.
func TestMarkStaysOnHost(t *testing.T) {
	l := newLab(t)
	l.uplink("ens3")
	l.run(l.hv, "nft add table ip filter")
	l.run(l.hv, "nft add chain ip filter forward { type filter hook forward priority 0; }")
	l.run(l.hv, "nft add rule ip filter forward meta mark set 0x42")
	l.run(l.guest, "nft add table ip g")
	l.run(l.guest, "nft add chain ip g in { type filter hook input priority 0; }")
	l.run(l.guest, "nft add rule ip g in meta mark != 0 counter")
	l.run(l.guest, "nft add rule ip g in meta priority != 0:0 counter")
	l.start(0)
	guest, out := l.sockets(outAddr)
	raw, err := out.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0x10) })
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	l.talk(guest, out)
	for range 10 {
		if !said(guest, out) {
			t.Fatal("a packet is lost")
		}
	}
	if got := l.run(l.guest, "nft list table ip g"); strings.Count(got, "packets 0 ") != 2 {
		t.Error(got)
	}
}

// burst sends numbered datagrams to the guest, which all leave at once.
func burst(t *testing.T, out *net.UDPConn, to netip.AddrPort, first, n int) {
	t.Helper()
	b := make([]byte, n*numbered)
	for i := range n {
		binary.BigEndian.PutUint32(b[numbered*i:], uint32(first+i))
	}
	if _, err := out.WriteToUDPAddrPort(b, to); err != nil {
		t.Fatal(err)
	}
}

// numbered is the size of a datagram with a number, in bytes.
const numbered = 200

// overtaken reads so many datagrams and returns how many have been overtaken.
func overtaken(t *testing.T, guest *net.UDPConn, n int) (times int) {
	t.Helper()
	if err := guest.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	last, buf := uint32(0), make([]byte, 2048)
	for range n {
		size, err := guest.Read(buf)
		if err != nil || size != numbered {
			t.Fatalf("%d bytes, %v", size, err)
		}
		number := binary.BigEndian.Uint32(buf)
		if number < last {
			times++
		}
		last = max(last, number)
	}
	return times
}

// TestOrder wants no packet to be overtaken by one of its flow when a lease ends.
func TestOrder(t *testing.T) {
	const packets, lease = 32, 20 * time.Millisecond
	l := newLab(t)
	l.uplink("ens3")
	l.run(l.out, "ip link set eth0 gso_max_segs 2") // so that the segments are made there, all at once
	l.start(lease)
	guest, out := l.sockets(outAddr)
	to := l.whence(guest, out)
	l.talk(guest, out)
	raw, err := out.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, numbered) })
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	_, before := l.fast()
	slow := l.status().Tenants[0].To.Slow["lease"]
	first := 1
	l.until("at the end of many leases", func() bool {
		burst(t, out, to, first, packets)
		if times := overtaken(t, guest, packets); times > 0 {
			t.Fatalf("%d packets were overtaken", times)
		}
		first += packets
		return l.status().Tenants[0].To.Slow["lease"] >= slow+20
	})
	if _, after := l.fast(); after == before {
		t.Error("nothing was fast")
	}
}

// whence returns from where the guest's packets arrive out there.
func (l *lab) whence(guest, out *net.UDPConn) netip.AddrPort {
	l.Helper()
	if _, err := guest.Write([]byte("x")); err != nil {
		l.Fatal(err)
	}
	if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.Fatal(err)
	}
	_, from, err := out.ReadFromUDPAddrPort(make([]byte, 16))
	if err != nil {
		l.Fatal(err)
	}
	return from
}

// TestBridgedToPeer has the frames of somebody on the guest's own network go to the guest: where they arrive they are for
// another MAC than the device's, and in the guest they are not.
func TestBridgedToPeer(t *testing.T) {
	const near = "192.168.0.8"
	l := newLab(t)
	l.run(l.hv, "ip link set ens3 master br-red")
	l.run(l.out, "ip addr add "+near+"/24 dev eth0")
	l.start(0)
	guest, out := l.sockets(near)
	l.talk(guest, out)
	for range 50 {
		if !said(guest, out) {
			t.Fatal("a packet is lost")
		}
	}
	l.nothingDiffers()
}
