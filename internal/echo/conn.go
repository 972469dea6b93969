// SPDX-License-Identifier: Apache-2.0

// Package echo sends ICMP and ICMPv6 echo requests through a raw socket in a network
// namespace, and reads the replies to them.
//
// It is not a library's pinger because of what goes into the packets: dwell distinguishes
// echoes by the clock that iputils ping puts at the front of the payload. pro-bing writes a
// payload of its own (a tracking UUID) and opens its sockets on whatever thread it happens to
// run. So only the wire formats are borrowed, from golang.org/x/net.
package echo

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// ICMP protocol numbers (IANA).
const (
	protocolICMP   = 1
	protocolICMPv6 = 58
)

// Conn is a raw ICMP socket that receives one target's replies to one identifier, and the errors
// that say why there is none. Send and Receive may be called by different goroutines.
type Conn struct {
	packets  *icmp.PacketConn
	dst      *net.IPAddr
	id       uint16
	protocol int
	request  icmp.Type
}

// Reply is an echo reply as it came from the socket.
type Reply struct {
	// At is when it was taken from the socket.
	At      time.Time
	Seq     uint16
	Payload []byte
}

// ErrOther is returned for a packet that is not a reply to this socket's requests.
var ErrOther = errors.New("not a reply to these requests")

// Open opens the socket in a namespace, where it then stays and which it keeps alive; nil is
// that of the process. The target is an address without a zone. It needs CAP_NET_RAW in the
// namespace, and CAP_SYS_ADMIN to enter it.
func Open(ns *netns.NS, target netip.Addr, id uint16) (*Conn, error) {
	target = target.Unmap()
	c := &Conn{dst: &net.IPAddr{IP: target.AsSlice()}, id: id, protocol: protocolICMP, request: ipv4.ICMPTypeEcho}
	network, local := "ip4:icmp", "0.0.0.0"
	if target.Is6() {
		c.protocol, c.request = protocolICMPv6, ipv6.ICMPTypeEchoRequest
		network, local = "ip6:ipv6-icmp", "::"
	}
	err := netns.In(ns, func() (err error) {
		c.packets, err = icmp.ListenPacket(network, local)
		return err
	})
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("ping %s: raw sockets need root (CAP_NET_RAW): try sudo: %w", target, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ping %s: %w", target, err)
	}
	if err := errors.Join(c.filter(), c.makeRoom()); err != nil {
		c.packets.Close()
		return nil, fmt.Errorf("ping %s: setting up the socket: %w", target, err)
	}
	return c, nil
}

// Close closes the socket. A Receive that waits returns [net.ErrClosed].
func (c *Conn) Close() error { return c.packets.Close() }

// SetReadDeadline ends every Receive at that time with [os.ErrDeadlineExceeded].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.packets.SetReadDeadline(t) }

// filter has the kernel drop what is about no request of our identifier, so that pingers side
// by side do not wake each other.
func (c *Conn) filter() error {
	prog, err := bpf.Assemble(filterProgram(c.protocol, c.id))
	if err != nil {
		return err
	}
	if p := c.packets.IPv4PacketConn(); p != nil {
		return p.SetBPF(prog)
	}
	return c.packets.IPv6PacketConn().SetBPF(prog)
}

// queueSize is how many bytes of packets, counted as the kernel counts them, may wait in the
// socket: some 20,000 small replies. By default it is 256, and if the reader was kept from
// running meanwhile, the others would seem to be lost on their way.
const queueSize = 8 << 20

// makeRoom has the kernel keep more replies than it would by default. Without CAP_NET_ADMIN in
// the namespace the administrator's limit (net.core.rmem_max) holds.
func (c *Conn) makeRoom() error {
	var socket net.PacketConn
	if p := c.packets.IPv4PacketConn(); p != nil {
		socket = p.PacketConn
	} else {
		socket = c.packets.IPv6PacketConn().PacketConn
	}
	withFD, ok := socket.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no descriptor", socket)
	}
	raw, err := withFD.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueSize) != nil {
			refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, queueSize)
		}
	})
	return errors.Join(err, refused)
}

// Send sends one request. The kernel fills in the checksum of ICMPv6.
func (c *Conn) Send(seq uint16, payload []byte) error {
	m := icmp.Message{Type: c.request, Body: &icmp.Echo{ID: int(c.id), Seq: int(seq), Data: payload}}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = c.packets.WriteTo(b, c.dst)
	return err
}

// Receive waits for a packet and reads it into buf, which must have room for the largest. The
// error is ErrOther if it is not a reply to this socket's requests, and an [ICMPError] if it says
// that one of them did not arrive.
func (c *Conn) Receive(buf []byte) (Reply, error) {
	n, from, err := c.packets.ReadFrom(buf)
	at := time.Now()
	if err != nil {
		return Reply{}, fmt.Errorf("ping %s: receiving: %w", c.dst, err)
	}
	if rep, ok := c.parse(buf[:n], from); ok {
		rep.At = at
		return rep, nil
	}
	if refused, ok := c.parseError(buf[:n], from); ok {
		refused.At = at
		return Reply{}, refused
	}
	return Reply{}, ErrOther
}

// parse returns the reply if it is from the target. Its payload is a copy.
func (c *Conn) parse(b []byte, from net.Addr) (Reply, bool) {
	if ip, ok := from.(*net.IPAddr); !ok || !ip.IP.Equal(c.dst.IP) {
		return Reply{}, false
	}
	m, err := icmp.ParseMessage(c.protocol, b)
	if err != nil {
		return Reply{}, false
	}
	echo, ok := m.Body.(*icmp.Echo)
	if !ok || echo.ID != int(c.id) {
		return Reply{}, false
	}
	// ParseMessage copies the body.
	return Reply{Seq: uint16(echo.Seq), Payload: echo.Data}, true
}
