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
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/dwelltrace/dwell/internal/netns"
)

// ICMP protocol numbers (IANA).
const (
	protocolICMP   = 1
	protocolICMPv6 = 58
)

// Conn is a raw ICMP socket that receives one target's replies to one identifier. Send and
// Receive may be called by different goroutines.
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
	if err := c.filter(); err != nil {
		c.packets.Close()
		return nil, fmt.Errorf("ping %s: filtering the socket: %w", target, err)
	}
	return c, nil
}

// Close closes the socket. A Receive that waits returns [net.ErrClosed].
func (c *Conn) Close() error { return c.packets.Close() }

// SetReadDeadline ends every Receive at that time with [os.ErrDeadlineExceeded].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.packets.SetReadDeadline(t) }

// filter has the kernel drop what is not a reply to our identifier, so that pingers side by
// side do not wake each other.
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

// filterProgram accepts echo replies with the identifier. An IPv4 raw socket's
// filter sees the packet from the IP header on, an IPv6 one's from the ICMPv6
// header.
func filterProgram(protocol int, id uint16) []bpf.Instruction {
	start := bpf.Instruction(bpf.LoadMemShift{Off: 0})
	answer := uint32(ipv4.ICMPTypeEchoReply)
	if protocol == protocolICMPv6 {
		start = bpf.LoadConstant{Dst: bpf.RegX, Val: 0}
		answer = uint32(ipv6.ICMPTypeEchoReply)
	}
	return []bpf.Instruction{
		start,
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: answer, SkipTrue: 3},
		bpf.LoadIndirect{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(id), SkipTrue: 1},
		bpf.RetConstant{Val: 0x40000},
		bpf.RetConstant{Val: 0},
	}
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
// error is ErrOther if it is not a reply to this socket's requests.
func (c *Conn) Receive(buf []byte) (Reply, error) {
	n, from, err := c.packets.ReadFrom(buf)
	at := time.Now()
	if err != nil {
		return Reply{}, fmt.Errorf("ping %s: receiving: %w", c.dst, err)
	}
	rep, ok := c.parse(buf[:n], from)
	if !ok {
		return Reply{}, ErrOther
	}
	rep.At = at
	return rep, nil
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
