// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// pinger sends echo requests from a raw socket in a namespace.
type pinger struct {
	t    testing.TB
	conn *net.IPConn
	v6   bool
	id   int
}

func (n *namespace) pinger(v6 bool) *pinger {
	n.t.Helper()
	p := &pinger{t: n.t, v6: v6, id: 0x1234}
	network := "ip4:icmp"
	if v6 {
		network = "ip6:ipv6-icmp"
	}
	n.do(func() {
		var err error
		p.conn, err = net.ListenIP(network, nil)
		n.must("open socket", err)
	})
	n.t.Cleanup(func() { p.conn.Close() })
	return p
}

// setsockopt sets a socket option whose value is bytes.
func (p *pinger) setsockopt(level, option int, value string) {
	p.t.Helper()
	raw, err := p.conn.SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), level, option, value)
	}); cerr != nil || err != nil {
		p.t.Fatal(cerr, err)
	}
}

// send sends one echo request.
func (p *pinger) send(to string, seq int, payload []byte) {
	p.t.Helper()
	if err := p.try(to, seq, payload); err != nil {
		p.t.Fatalf("send to %s: %v", to, err)
	}
}

// try sends one echo request, which the kernel may refuse to send.
func (p *pinger) try(to string, seq int, payload []byte) error {
	p.t.Helper()
	msg := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: seq, Data: payload}}
	if p.v6 {
		msg.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := msg.Marshal(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.conn.WriteTo(b, &net.IPAddr{IP: netip.MustParseAddr(to).AsSlice()})
	return err
}

// receive waits for the reply with a sequence number.
func (p *pinger) receive(seq int) {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	proto := 1
	if p.v6 {
		proto = 58
	}
	for {
		n, _, err := p.conn.ReadFrom(buf)
		if err != nil {
			p.t.Fatalf("no reply to seq %d: %v", seq, err)
		}
		msg, err := icmp.ParseMessage(proto, buf[:n])
		if err != nil {
			p.t.Fatal(err)
		}
		echo, ok := msg.Body.(*icmp.Echo)
		reply := msg.Type == ipv4.ICMPTypeEchoReply || msg.Type == ipv6.ICMPTypeEchoReply
		if ok && reply && echo.ID == p.id && echo.Seq == seq {
			return
		}
	}
}

// ping sends one request and waits for its reply.
func (p *pinger) ping(to string, seq int, payload []byte) {
	p.t.Helper()
	p.send(to, seq, payload)
	p.receive(seq)
}
