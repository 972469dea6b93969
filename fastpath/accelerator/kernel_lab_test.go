// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// lab is a hypervisor with two guests of red's behind a bridge, NAT, and somebody out there.
type lab struct {
	testing.TB
	hv, guest, second, out *netns.NS
	m                      *Manager
	pin                    string
	far                    string       // with whom the guest talks
	log                    *slog.Logger // nil: nothing is logged
	stop                   func()
}

// patience is how long something may take that has to happen: a machine may have much else to do.
const patience = 2 * time.Minute

const (
	guestAddr  = "192.168.0.10"
	secondAddr = "192.168.0.11"
	outAddr    = "203.0.113.8"
)

func newLab(t testing.TB) *lab {
	t.Helper()
	privilegetest.BPF(t)
	if err := bypass.Supported(); err != nil {
		privilegetest.Kernel(t, err)
		t.Fatal(err)
	}
	l := &lab{TB: t, pin: filepath.Join(t.TempDir(), "bpf"), far: outAddr}
	t.Cleanup(func() {
		if err := unix.Unmount(l.pin, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			t.Error(err)
		}
	})
	l.hv, l.guest, l.second, l.out = l.space(), l.space(), l.space(), l.space()
	l.run(l.hv, "ip link add ens3 type veth peer name eth0 netns "+l.out.Name())
	l.run(l.hv, "ip link add br-red type bridge")
	l.run(l.hv, "ip addr add 192.168.0.1/24 dev br-red")
	l.run(l.hv, "ip addr add 203.0.113.1/24 dev ens3")
	l.run(l.hv, "ip link set br-red up")
	l.run(l.hv, "ip link set ens3 up")
	l.run(l.out, "ip addr add "+outAddr+"/24 dev eth0")
	l.run(l.out, "ip link set eth0 up")
	l.run(l.hv, "ip route add default via "+outAddr)
	for _, g := range []struct {
		ns         *netns.NS
		port, addr string
	}{{l.guest, "red-1", guestAddr}, {l.second, "red-2", secondAddr}} {
		l.run(l.hv, "ip link add "+g.port+" type veth peer name eth0 netns "+g.ns.Name())
		l.run(l.hv, "ip link set "+g.port+" master br-red up")
		l.run(g.ns, "ip addr add "+g.addr+"/24 dev eth0")
		l.run(g.ns, "ip link set eth0 up")
		l.run(g.ns, "ip link set lo up")
		l.run(g.ns, "ip route add default via 192.168.0.1")
	}
	l.run(l.hv, "sysctl -qw net.ipv4.ip_forward=1")
	l.run(l.hv, "nft add table ip nat")
	l.run(l.hv, "nft add chain ip nat post { type nat hook postrouting priority 100; }")
	l.run(l.hv, "nft add rule ip nat post oifname ens3 masquerade")
	l.run(l.hv, "nft add table inet filter")
	l.run(l.hv, "nft add chain inet filter forward { type filter hook forward priority 0; }")
	l.run(l.hv, "nft add rule inet filter forward ct state invalid drop")
	return l
}

func (l *lab) space() *netns.NS {
	l.Helper()
	name := "dwell-acc-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			l.Error(err)
		}
	})
	return ns
}

func (l *lab) run(ns *netns.NS, command string) string {
	l.Helper()
	words := strings.Fields(command)
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.CommandContext(l.Context(), words[0], words[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		l.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// start runs a manager.
func (l *lab) start(mode flow.Mode) {
	l.Helper()
	m, err := New(Options{Pin: l.pin, NetNS: l.hv, NICs: []string{"ens3"}, Log: l.log})
	if err != nil {
		l.Fatal(err)
	}
	set, err := tenant.NewSet([]tenant.Tenant{{
		ID: "red", Origin: "test", Ports: []string{"red-*"}, Bridges: []string{"br-red"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/24")},
	}}, nil, nil)
	if err != nil {
		l.Fatal(err)
	}
	m.SetTenants(set, map[string]flow.Mode{"red": mode})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	l.m = m
	l.stop = func() {
		l.stop = func() {}
		stop()
		if err := errors.Join(<-done, m.Close()); err != nil {
			l.Error(err)
		}
	}
	l.Cleanup(func() { l.stop() })
	l.until("released", func() bool {
		s := l.status()
		return s.Attended && !s.Held
	})
}

func (l *lab) status() *Status {
	l.Helper()
	s, err := l.m.Status(l.Context(), Query{Operator: true})
	if err != nil {
		l.Fatal(err)
	}
	return s
}

// until waits until something is so.
func (l *lab) until(what string, is func() bool) {
	l.Helper()
	for limit := time.Now().Add(patience); !is(); {
		if time.Now().After(limit) {
			l.Fatalf("not %s; status %+v; rules:\n%s", what, l.status(), l.run(l.hv, "nft list ruleset"))
		}
	}
}

// conversation is a flow between two sockets, one of which answers.
type conversation struct {
	*lab
	say func() error // sends and receives one packet
	// patient is how long say waits for an answer.
	patient time.Duration
	packet  string
	local   netip.AddrPort
}

// udp begins a conversation with a socket out there.
func (l *lab) udp() *conversation {
	l.Helper()
	var server *net.UDPConn
	var client net.Conn
	l.in(l.out, func() (err error) {
		server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(l.far)})
		return err
	})
	l.in(l.guest, func() (err error) {
		client, err = net.Dial("udp", server.LocalAddr().String())
		return err
	})
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	l.Cleanup(func() { client.Close(); server.Close() })
	buf := make([]byte, 2048)
	c := &conversation{
		lab: l, packet: fmt.Sprintf("udp %s > %s", client.LocalAddr(), client.RemoteAddr()),
		local: netip.MustParseAddrPort(client.LocalAddr().String()), patient: patience,
	}
	c.say = func() error {
		if _, err := client.Write([]byte("0123456789")); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
		if err := client.SetReadDeadline(time.Now().Add(c.patient)); err != nil {
			return err
		}
		_, err := client.Read(buf)
		return err
	}
	return c
}

// tcp begins a conversation over TCP.
func (l *lab) tcp() *conversation {
	l.Helper()
	var listener net.Listener
	var client net.Conn
	l.in(l.out, func() (err error) {
		listener, err = net.Listen("tcp", outAddr+":0")
		return err
	})
	go func() {
		server, err := listener.Accept()
		if err != nil {
			return
		}
		defer server.Close()
		buf := make([]byte, 2048)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			_, _ = server.Write(buf[:n])
		}
	}()
	l.in(l.guest, func() (err error) {
		client, err = net.Dial("tcp", listener.Addr().String())
		return err
	})
	l.Cleanup(func() { client.Close(); listener.Close() })
	buf := make([]byte, 2048)
	return &conversation{
		lab: l, packet: fmt.Sprintf("tcp %s > %s ack", client.LocalAddr(), client.RemoteAddr()),
		local: netip.MustParseAddrPort(client.LocalAddr().String()),
		say: func() error {
			if _, err := client.Write([]byte("0123456789")); err != nil {
				return err
			}
			if err := client.SetReadDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			_, err := client.Read(buf)
			return err
		},
	}
}

func (l *lab) in(ns *netns.NS, fn func() error) {
	l.Helper()
	if err := ns.Do(fn); err != nil {
		l.Fatal(err)
	}
}

// why asks about the conversation.
func (c *conversation) why() *Why {
	c.Helper()
	w, err := c.m.Why(c.Context(), WhyQuery{Query: Query{Tenant: "red"}, Packet: c.packet})
	if err != nil {
		c.Fatal(err)
	}
	return w
}

// fast talks until packets of both directions are fast.
func (c *conversation) fast() {
	c.Helper()
	c.until("fast: "+c.packet, func() bool {
		if err := c.say(); err != nil {
			c.Fatalf("%s: %v", c.packet, err)
		}
		before := c.sent()
		if err := c.say(); err != nil {
			c.Fatalf("%s: %v", c.packet, err)
		}
		after := c.sent()
		return after[0] > before[0] && after[1] > before[1]
	})
}

// sent returns how many fast packets there were in each direction.
func (c *conversation) sent() (n [2]uint64) {
	c.Helper()
	for _, f := range c.why().Flows {
		if f.Back != nil {
			n[0] += f.Forth.Fast
			n[1] += f.Back.Fast
		}
	}
	return n
}
