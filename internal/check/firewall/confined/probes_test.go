// SPDX-License-Identifier: Apache-2.0

package confined

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lengths of headers, in bytes.
const (
	ethLen = 14
	ipLen  = 20
)

// probe is a packet that others than red send.
type probe struct {
	from  int
	frame []byte
}

// probes draws packets: of blue, some with red's addresses, and of the outside, to blue, to the host, and past
// both.
func (h *host) probes(n int) []probe {
	g := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) netip.Addr { return netip.MustParseAddr(list[g.IntN(len(list))]) }
	list := make([]probe, n)
	for i := range list {
		from, src, dst := blue, pick("192.168.1.10", "192.168.1.10", "192.168.0.10", "10.9.9.9"),
			pick("203.0.113.8", "203.0.113.8", "203.0.113.9", "192.168.1.1", "192.0.2.1")
		if g.IntN(3) == 0 {
			from, src, dst = outside, pick("203.0.113.8", "203.0.113.9"), pick("192.168.1.10", "192.168.1.10", "192.0.2.1")
		}
		list[i] = probe{from, h.frame(from, src, dst, g.IntN(3), uint16(1024+i), uint16([]int{22, 53, 80, 443, 5001}[g.IntN(5)]))}
	}
	return list
}

// frame returns an echo request, a SYN or a datagram.
func (h *host) frame(from int, src, dst netip.Addr, kind int, id, port uint16) []byte {
	transport := make([]byte, 8, 64)
	proto, sum := []byte{1, 6, 17}[kind], []int{2, 16, 6}[kind]
	switch proto {
	case 1:
		transport[0] = 8
		binary.BigEndian.PutUint16(transport[4:], id)
	default:
		if proto == 6 {
			transport = transport[:20]
			transport[12], transport[13] = 5<<4, 2
		} else {
			binary.BigEndian.PutUint16(transport[4:], 8)
		}
		binary.BigEndian.PutUint16(transport[0:], id)
		binary.BigEndian.PutUint16(transport[2:], port)
	}
	f := make([]byte, ethLen+ipLen, 96)
	copy(f, h.macs[from])
	copy(f[6:], []byte{2, 0, 0, 0, 0, byte(from)})
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IP)
	ip := f[ethLen:]
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(ipLen+len(transport)))
	copy(ip[12:], src.AsSlice())
	copy(ip[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip))
	pseudo := uint32(0)
	if proto != 1 {
		pseudo = uint32(proto) + uint32(len(transport))
		for i := 12; i < 20; i += 2 {
			pseudo += uint32(binary.BigEndian.Uint16(ip[i:]))
		}
	}
	binary.BigEndian.PutUint16(transport[sum:], checksum(pseudo, transport))
	return append(f, transport...)
}

// checksum is the internet checksum (RFC 1071) of an even number of bytes.
func checksum(sum uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// observe sends the probes and returns what comes out of each wire, in order: who sends what to whom, and
// with what remaining TTL.
func (h *host) observe(probes []probe) []string {
	h.t.Helper()
	if err := h.connections.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
		h.t.Fatal(err)
	}
	for i := range ends {
		h.read(i)
	}
	var came []string
	for _, p := range probes {
		if _, err := unix.Write(h.sockets[p.from], p.frame); err != nil {
			h.t.Fatal(err)
		}
	}
	// The host answers a ping of each wire after all that was sent before it.
	for i := range ends {
		h.awaitAnswer(i, &came)
	}
	slices.Sort(came)
	return came
}

// awaitAnswer pings the host from a wire, and takes what comes until the host has answered.
func (h *host) awaitAnswer(i int, came *[]string) {
	h.t.Helper()
	w := wires()[i]
	ping := h.frame(i, netip.MustParseAddr(w.neighbour), netip.MustParsePrefix(w.address).Addr(), 0, 7, 0)
	answers := func(s string) bool { // its number is less than those of all probes
		return strings.HasPrefix(s, fmt.Sprintf("%d: %s > %s proto 1 ttl 64 0000", i, netip.MustParsePrefix(w.address).Addr(), w.neighbour)) &&
			strings.HasSuffix(s, "0007")
	}
	if _, err := unix.Write(h.sockets[i], ping); err != nil {
		h.t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		got := h.read(i)
		*came = append(*came, got...)
		if slices.ContainsFunc(got, answers) {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("the host does not answer on %s", w.port)
		}
		fds := []unix.PollFd{{Fd: int32(h.sockets[i]), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 1000); err != nil && !errors.Is(err, unix.EINTR) {
			h.t.Fatal(err)
		}
	}
}

// read takes what has come out of a wire.
func (h *host) read(i int) (came []string) {
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(h.sockets[i], buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return came
		}
		if n >= ethLen+ipLen+8 {
			ip := buf[ethLen:n]
			came = append(came, fmt.Sprintf("%d: %s > %s proto %d ttl %d %x", i, netip.AddrFrom4([4]byte(ip[12:16])),
				netip.AddrFrom4([4]byte(ip[16:20])), ip[9], ip[8], ip[ipLen:ipLen+6]))
		}
	}
}
