// SPDX-License-Identifier: Apache-2.0

package traps

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTunnelInherits has a tunnel whose outer headers have the TTL of the packets inside, and are as they are as to
// whether they may be fragmented.
func TestTunnelInherits(t *testing.T) {
	const far = "198.51.100.2"
	l := newLab(t)
	l.uplink("ens3")
	l.run(l.hv, "ip link add vx0 type vxlan id 7 remote "+outAddr+" local 203.0.113.1 dstport 4789 noudpcsum ttl inherit df inherit")
	l.run(l.hv, "ip addr add 198.51.100.1/24 dev vx0")
	l.run(l.hv, "ip link set vx0 up")
	l.run(l.out, "ip link add vx0 type vxlan id 7 remote 203.0.113.1 local "+outAddr+" dstport 4789 noudpcsum")
	l.run(l.out, "ip addr add "+far+"/24 dev vx0")
	l.run(l.out, "ip link set vx0 up")
	l.run(l.out, "ip route add 192.168.0.0/24 via 198.51.100.1")
	l.start(0)
	guest, out := l.sockets(far)
	for range 10 {
		if !said(guest, out) {
			t.Fatal("a packet is lost")
		}
	}
	l.run(l.out, "nft add table ip g")
	l.run(l.out, "nft add chain ip g in { type filter hook prerouting priority 0; }")
	l.run(l.out, "nft add rule ip g in udp dport 4789 ip length 88 ip ttl != 29 counter")
	l.run(l.out, "nft add rule ip g in udp dport 4789 ip length 88 ip frag-off & 0x4000 != 0 counter")
	raw, err := guest.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, 30),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT))
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if !said(guest, out) {
			t.Fatal("a packet is lost")
		}
	}
	if got := l.run(l.out, "nft list table ip g"); strings.Count(got, "packets 0 ") != 2 {
		t.Error(got)
	}
	l.nothingDiffers()
}
