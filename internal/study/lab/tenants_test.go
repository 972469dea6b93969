// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// patience is how long a packet that must come is waited for, on a machine that is busy.
const patience = 30 * time.Second

// listenICMP opens a raw ICMP socket in the namespace that plays a role.
func listenICMP(t *testing.T, l *lab.Lab, role string) *icmp.PacketConn {
	t.Helper()
	ns, err := l.Open(role)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var c *icmp.PacketConn
	err = ns.Do(func() (err error) {
		c, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends an echo request.
func send(t *testing.T, c *icmp.PacketConn, to string, id, seq int, text string) {
	t.Helper()
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: seq, Data: []byte(text)}}
	b, err := m.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo(b, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
		t.Fatal(err)
	}
}

// next returns the next ICMP message that a socket gets, and who sent it.
func next(t *testing.T, c *icmp.PacketConn) (*icmp.Message, string) {
	t.Helper()
	buf := make([]byte, 2000)
	n, from, err := c.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	m, err := icmp.ParseMessage(1, buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	return m, from.String()
}

// Two packets that no field tells apart but who sent them: each guest gets the answer to its
// own, and to the outside they come from two addresses.
func TestTenantsWithOneAddressGetTheirOwnReplies(t *testing.T) {
	l := up(t, "tenants", options(t, "y"))
	outside := listenICMP(t, l, lab.Outside)
	guests := l.Topology().Guests()
	sockets := map[string]*icmp.PacketConn{}
	for _, guest := range guests {
		sockets[guest] = listenICMP(t, l, guest)
	}
	public := map[string]string{}
	for _, tenant := range l.Topology().Tenants() {
		public[tenant.Role] = tenant.Public.String()
	}
	for seq := range 50 {
		for _, guest := range guests {
			send(t, sockets[guest], l.Target(false).String(), 4711, seq, "of "+guest)
		}
		for range guests {
			m, from := next(t, outside)
			echo, ok := m.Body.(*icmp.Echo)
			if !ok || echo.ID != 4711 || echo.Seq != seq {
				t.Fatalf("outside got %+v %+v", m, m.Body)
			}
			if guest := string(bytes.TrimPrefix(echo.Data, []byte("of "))); public[guest] != from {
				t.Fatalf("the request of %q came from %s, want %s", guest, from, public[guest])
			}
		}
		for _, guest := range guests {
			m, from := next(t, sockets[guest])
			echo, ok := m.Body.(*icmp.Echo)
			if !ok || m.Type != ipv4.ICMPTypeEchoReply || string(echo.Data) != "of "+guest || from != l.Target(false).String() {
				t.Fatalf("%s got %+v %+v from %s", guest, m, m.Body, from)
			}
		}
	}
}

// All at once and with one identifier: to the outside, to each other, to the gateway that both
// call by the same address, and from outside.
func TestTenantsPingAtOnce(t *testing.T) {
	l := up(t, "tenants", options(t, "z"))
	pings := l.Topology().Pings()
	for _, tenant := range l.Topology().Tenants() {
		pings = append(pings, lab.Ping{From: tenant.Role, To: netip.MustParseAddr("192.168.0.1")}, lab.Ping{From: lab.Outside, To: tenant.Public})
	}
	red, blue := l.Topology().Tenants()[0], l.Topology().Tenants()[1]
	pings = append(pings, lab.Ping{From: blue.Role, To: red.Public}, lab.Ping{From: red.Role, To: red.Public})
	var all sync.WaitGroup
	for _, p := range pings {
		all.Go(func() { pingFrom(t, l, p, 100, 4711) })
	}
	all.Wait()
}

// What the hypervisor says about a packet to the other tenant comes to its sender, although the
// other has the address, too.
func TestErrorComesToTheTenantThatCausedIt(t *testing.T) {
	l := up(t, "tenants", options(t, "e"))
	tenants := l.Topology().Tenants()
	for i, from := range tenants {
		to := tenants[1-i]
		sender, other := listenICMP(t, l, from.Role), listenICMP(t, l, to.Role)
		if err := sender.IPv4PacketConn().SetTTL(1); err != nil {
			t.Fatal(err)
		}
		send(t, sender, to.Public.String(), 4711, 1, "expires")
		if m, _ := next(t, sender); m.Type != ipv4.ICMPTypeTimeExceeded {
			t.Errorf("%s got %+v, want time exceeded", from.Role, m)
		}
		// The next thing that the other one gets is what is sent to it now.
		if err := sender.IPv4PacketConn().SetTTL(64); err != nil {
			t.Fatal(err)
		}
		send(t, sender, to.Public.String(), 4711, 2, "arrives")
		if m, _ := next(t, other); m.Type != ipv4.ICMPTypeEcho {
			t.Errorf("%s got %+v, want the echo request", to.Role, m)
		}
		sender.Close()
		other.Close()
	}
}

func TestPings(t *testing.T) {
	for name, want := range map[string]string{
		"bridge":  "[{guest 203.0.113.8}]",
		"tenants": "[{red 203.0.113.8} {blue 203.0.113.8} {red 198.51.100.12}]",
	} {
		top, err := lab.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(top.Pings()); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
