// SPDX-License-Identifier: Apache-2.0

package traps

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// segmented sets how long the packets are that the socket's datagrams are cut into, 0 for not at all.
func segmented(t *testing.T, c *net.UDPConn, bytes int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, bytes) })
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
}

// TestLongerThanBridge has a guest whose MTU is larger than the NIC's. A bridge lets packets pass that are yet to be
// cut into segments, however long those will be, and drops others that are as long.
func TestLongerThanBridge(t *testing.T) {
	const long, near = 8000, "192.168.0.8"
	l := newLab(t)
	l.run(l.hv, "ip link set ens3 master br-red")
	l.run(l.hv, "ip link set red-1 mtu 9000")
	l.run(l.guest, "ip link set eth0 mtu 9000")
	l.run(l.out, "ip link set eth0 mtu 9000")
	l.run(l.out, "ip addr add "+near+"/24 dev eth0")
	l.start(0)
	guest, out := l.sockets(near)
	l.talk(guest, out)
	buf := make([]byte, 1<<16)
	read := func() int {
		t.Helper()
		if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := out.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	segmented(t, guest, long)
	for range 4 {
		if _, err := guest.Write(make([]byte, 3*long)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if n := read(); n != long {
				t.Fatalf("a segment of %d bytes", n)
			}
		}
	}
	segmented(t, guest, 0)
	for range 4 {
		for _, size := range []int{long, 1} {
			if _, err := guest.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		if n := read(); n != 1 {
			t.Errorf("a packet with %d bytes has passed a device with an MTU of 1500", n)
		}
	}
	l.nothingDiffers()
}
