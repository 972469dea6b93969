// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ICMP protocol numbers (IANA).
const (
	protocolICMP   = 1
	protocolICMPv6 = 58
)

// conn is a raw ICMP socket that receives the replies to one identifier.
type conn struct {
	*icmp.PacketConn
	dst      *net.IPAddr
	id       uint16
	protocol int
	request  icmp.Type
}

// reply is an echo reply as it came from the socket.
type reply struct {
	at      time.Time
	seq     uint16
	payload []byte
}

// open opens the socket in the configured namespace, where it then stays.
func open(cfg Config) (*conn, error) {
	target := cfg.Target.Unmap()
	c := &conn{dst: &net.IPAddr{IP: target.AsSlice()}, id: cfg.ID, protocol: protocolICMP, request: ipv4.ICMPTypeEcho}
	network, local := "ip4:icmp", "0.0.0.0"
	if target.Is6() {
		c.protocol, c.request = protocolICMPv6, ipv6.ICMPTypeEchoRequest
		network, local = "ip6:ipv6-icmp", "::"
	}
	listen := func() (err error) {
		c.PacketConn, err = icmp.ListenPacket(network, local)
		return err
	}
	if cfg.NetNS != nil {
		bare := listen
		listen = func() error { return cfg.NetNS.Do(bare) }
	}
	err := listen()
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("ping %s: raw sockets need root (CAP_NET_RAW): try sudo: %w", target, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ping %s: %w", target, err)
	}
	if err := c.filter(); err != nil {
		c.Close()
		return nil, fmt.Errorf("ping %s: filtering the socket: %w", target, err)
	}
	return c, nil
}

// filter has the kernel drop what is not a reply to our identifier, so that
// pingers side by side do not wake each other.
func (c *conn) filter() error {
	prog, err := bpf.Assemble(filterProgram(c.protocol, c.id))
	if err != nil {
		return err
	}
	if p := c.IPv4PacketConn(); p != nil {
		return p.SetBPF(prog)
	}
	return c.IPv6PacketConn().SetBPF(prog)
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

// send sends one request. The kernel fills in the checksum of ICMPv6.
func (c *conn) send(seq uint16, payload []byte) error {
	m := icmp.Message{Type: c.request, Body: &icmp.Echo{ID: int(c.id), Seq: int(seq), Data: payload}}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = c.WriteTo(b, c.dst)
	return err
}

// lastLook is how long a socket is read on after its deadline. With a deadline in the past,
// Go does not read at all; what is there is read at once.
const lastLook = 50 * time.Millisecond

// receive reads replies until the socket is closed, or is empty after its deadline, and
// then closes the channel. After stop it throws away what nobody waits for any more.
func receive(c *conn, replies chan<- reply, stop <-chan struct{}) error {
	defer close(replies)
	buf := make([]byte, 1<<16)
	looked := false
	for {
		n, from, err := c.ReadFrom(buf)
		at := time.Now()
		if errors.Is(err, os.ErrDeadlineExceeded) && !looked {
			looked, err = true, c.SetReadDeadline(at.Add(lastLook))
			if err == nil {
				continue
			}
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ping %s: receiving: %w", c.dst, err)
		}
		rep, ok := c.parse(buf[:n], from)
		if !ok {
			continue
		}
		rep.at = at
		select {
		case replies <- rep:
		case <-stop:
			return nil
		}
	}
}

// parse returns the reply if it is from the target. Its payload is a copy.
func (c *conn) parse(b []byte, from net.Addr) (reply, bool) {
	if ip, ok := from.(*net.IPAddr); !ok || !ip.IP.Equal(c.dst.IP) {
		return reply{}, false
	}
	m, err := icmp.ParseMessage(c.protocol, b)
	if err != nil {
		return reply{}, false
	}
	echo, ok := m.Body.(*icmp.Echo)
	if !ok || echo.ID != int(c.id) {
		return reply{}, false
	}
	// ParseMessage copies the body.
	return reply{seq: uint16(echo.Seq), payload: echo.Data}, true
}
