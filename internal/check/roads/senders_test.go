// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// interval is the time from one ping to the next.
const interval = 20 * time.Millisecond

// iputils sends as iputils' ping does.
func iputils(w *world, from *space, to netip.Addr, id uint16, n int) (int, error) {
	return sized(pinger.DefaultSize)(w, from, to, id, n)
}

// sized is iputils with a payload of some size in bytes.
func sized(size int) sender {
	return func(w *world, from *space, to netip.Addr, id uint16, n int) (int, error) {
		r, err := pinger.Run(w.ctx, pinger.Config{
			NetNS: from.NS, Target: to, Count: n, Interval: interval, ID: id, Size: size,
		})
		if err != nil {
			return 0, err
		}
		return r.Received() + r.Duplicates(), nil
	}
}

// rawPing sends echoes that pinger does not.
type rawPing struct {
	// payload returns that of an echo; nil is a clock and a pattern, as iputils' is.
	payload func(seq int) []byte
	ttl     int
	// wait is how long to wait for replies; answers ends it early.
	wait    time.Duration
	answers int
	// device is where multicast is sent, and anybody says that all may answer.
	device  string
	anybody bool
}

// send is a sender.
func (p rawPing) send(w *world, from *space, to netip.Addr, id uint16, n int) (int, error) {
	var conn *icmp.PacketConn
	err := from.Do(func() (err error) {
		network, local := "ip4:icmp", "0.0.0.0"
		if to.Is6() {
			network, local = "ip6:ipv6-icmp", "::"
		}
		if conn, err = icmp.ListenPacket(network, local); err != nil {
			return err
		}
		return p.options(conn, to)
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for seq := 1; seq <= n; seq++ {
		if err := p.sendOne(conn, to, id, seq); err != nil {
			return 0, err
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return 0, w.ctx.Err()
		}
	}
	return p.receive(conn, to, id)
}

func (p rawPing) options(conn *icmp.PacketConn, to netip.Addr) error {
	if to.Is6() {
		if p.ttl > 0 {
			return conn.IPv6PacketConn().SetHopLimit(p.ttl)
		}
		return nil
	}
	c := conn.IPv4PacketConn()
	if p.ttl > 0 {
		if err := c.SetTTL(p.ttl); err != nil {
			return err
		}
	}
	if p.device != "" {
		ifi, err := net.InterfaceByName(p.device)
		if err != nil {
			return err
		}
		return errors.Join(c.SetMulticastInterface(ifi), c.SetMulticastLoopback(false))
	}
	return nil
}

func (p rawPing) sendOne(conn *icmp.PacketConn, to netip.Addr, id uint16, seq int) error {
	data := clock(56)
	if p.payload != nil {
		data = p.payload(seq)
	}
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(id), Seq: seq, Data: data}}
	if to.Is6() {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = conn.WriteTo(b, &net.IPAddr{IP: to.AsSlice()})
	if errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EMSGSIZE) {
		return nil // what came back to an earlier ping
	}
	return err
}

// receive counts the replies with the identifier from whom was pinged.
func (p rawPing) receive(conn *icmp.PacketConn, to netip.Addr, id uint16) (got int, err error) {
	wait := p.wait
	if wait == 0 {
		wait = time.Second
	}
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, err
	}
	b := make([]byte, 65536)
	for p.answers == 0 || got < p.answers {
		n, from, err := conn.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got, nil
		}
		if errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EMSGSIZE) {
			continue
		}
		if err != nil {
			return got, err
		}
		isReply := n >= 8 && (b[0] == byte(ipv4.ICMPTypeEchoReply) || b[0] == byte(ipv6.ICMPTypeEchoReply))
		mine := p.anybody || from.String() == to.String()
		if isReply && mine && binary.BigEndian.Uint16(b[4:]) == id {
			got++
		}
	}
	return got, nil
}

// clock makes a payload that begins with the time, as iputils' does.
func clock(size int) []byte {
	now := time.Now()
	b := binary.NativeEndian.AppendUint64(nil, uint64(now.Unix()))
	b = binary.NativeEndian.AppendUint64(b, uint64(now.Nanosecond()/1000))
	for len(b) < size {
		b = append(b, byte(len(b)))
	}
	return b[:size]
}

// constant is blackbox_exporter's payload, the same in each echo.
func constant(int) []byte { return []byte("Prometheus Blackbox Exporter") }

// packetSocket opens a packet socket on a device that takes every frame of a protocol.
func (s *space) packetSocket(device string, protocol uint16) (fd int, err error) {
	err = s.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: ifi.Index})
	})
	return fd, err
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// byPacketSocket sends echoes by a packet socket, as nping and scapy do: the kernel knows
// of no socket that would take the reply. mac is the neighbour's.
func byPacketSocket(device string, src netip.Addr, mac func(*world) net.HardwareAddr) sender {
	return func(w *world, from *space, to netip.Addr, id uint16, n int) (int, error) {
		fd, err := from.packetSocket(device, unix.ETH_P_IP)
		if err != nil {
			return 0, err
		}
		f := os.NewFile(uintptr(fd), "packet socket")
		defer f.Close()
		h := host{mac: w.mac(from.role, device), addr: src}
		got := 0
		for seq := 1; seq <= n; seq++ {
			if _, err := f.Write(h.request(mac(w), to, id, uint16(seq), clock(56))); err != nil {
				return got, err
			}
			ok, err := awaitReply(f, id, uint16(seq))
			if err != nil {
				return got, err
			}
			if ok {
				got++
			}
		}
		return got, nil
	}
}

// awaitReply reads frames until the reply comes, for a second at most.
func awaitReply(f *os.File, id, seq uint16) (bool, error) {
	if err := f.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return false, err
	}
	b := make([]byte, 2048)
	for {
		n, err := f.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if errors.Is(err, syscall.ENETDOWN) {
			continue
		}
		if err != nil {
			return false, err
		}
		e, ok := parseEcho(b[:n])
		if ok && e.typ == 0 && e.id == id && e.seq == seq {
			return true, nil
		}
	}
}

// shortWait is how long to wait for a reply that is not to come.
const shortWait = 100 * time.Millisecond
