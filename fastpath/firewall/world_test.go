// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// world is a hypervisor with a bridge br-red, at which the guest of tenant red is, and a
// device eth0 that leads out to somebody.
//
//	guest 192.0.2.10 — tap-red [br-red 192.0.2.1 | eth0 198.51.100.1] — out 198.51.100.2
type world struct {
	*testing.T
	hv, guest, out *netns.NS
	dir            string
	kind           string
	tenants        *tenant.Set
	*Manager
}

// eachKind runs a test with both kinds of iptables.
func eachKind(t *testing.T, test func(*testing.T, *world)) {
	for _, kind := range []string{"legacy", "nft"} {
		t.Run(kind, func(t *testing.T) { test(t, newWorld(t, kind)) })
	}
}

func newWorld(t *testing.T, kind string) *world {
	t.Helper()
	w := &world{T: t, kind: kind, dir: t.TempDir()}
	t.Cleanup(func() {
		if err := unix.Unmount(w.pin(), 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			t.Error(err)
		}
	})
	w.hv, w.guest, w.out = space(t), space(t), space(t)
	w.run(w.hv, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", w.out.Name())
	w.run(w.hv, "ip", "link", "add", "br-red", "type", "bridge")
	for _, l := range []struct {
		ns          *netns.NS
		dev, v4, v6 string
	}{
		{w.hv, "br-red", "192.0.2.1/24", "2001:db8:1::1/64"},
		{w.hv, "eth0", "198.51.100.1/24", "2001:db8:2::1/64"},
		{w.out, "eth0", "198.51.100.2/24", "2001:db8:2::2/64"},
	} {
		w.run(l.ns, "ip", "addr", "add", l.v4, "dev", l.dev)
		w.run(l.ns, "ip", "addr", "add", l.v6, "dev", l.dev, "nodad")
		w.run(l.ns, "ip", "link", "set", l.dev, "up")
	}
	w.run(w.out, "ip", "route", "add", "192.0.2.0/24", "via", "198.51.100.1")
	w.run(w.out, "ip", "route", "add", "2001:db8:1::/64", "via", "2001:db8:2::1")
	w.run(w.hv, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	w.port()
	w.tenants = red(t)
	return w
}

// port makes the guest's link.
func (w *world) port() {
	w.Helper()
	w.run(w.hv, "ip", "link", "add", "tap-red", "type", "veth", "peer", "name", "eth0", "netns", w.guest.Name())
	w.run(w.hv, "ip", "link", "set", "tap-red", "master", "br-red", "up")
	w.run(w.guest, "ip", "addr", "add", "192.0.2.10/24", "dev", "eth0")
	w.run(w.guest, "ip", "addr", "add", "2001:db8:1::10/64", "dev", "eth0", "nodad")
	w.run(w.guest, "ip", "link", "set", "eth0", "up")
	w.run(w.guest, "ip", "route", "add", "default", "via", "192.0.2.1")
	w.run(w.guest, "ip", "route", "add", "default", "via", "2001:db8:1::1")
}

// nothing checks that nothing of the tenants is in the kernel.
func (w *world) nothing() {
	w.Helper()
	for _, program := range []string{"iptables-", "ip6tables-"} {
		if rules := w.run(w.hv, program+w.kind+"-save"); strings.Contains(rules, "dwell") {
			w.Errorf("left in iptables: %s", rules)
		}
	}
	if pins, err := filepath.Glob(filepath.Join(w.pin(), "v1", "*")); err != nil || len(pins) > 0 {
		w.Errorf("left pinned: %q, %v", pins, err)
	}
}

// open starts the manager, and adopts what is there.
func (w *world) open() {
	w.Helper()
	o := w.options()
	f, err := newFaces(&o)
	if err != nil {
		w.Fatal(err)
	}
	m, err := newManager(o, f)
	if err != nil {
		w.Fatal(err)
	}
	w.Manager = m
	w.Cleanup(func() {
		if w.Manager == m {
			w.close()
		}
	})
	m.SetTenants(w.tenants)
	if err := m.Adopt(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) options() Options {
	return Options{StateDir: filepath.Join(w.dir, "state"), Pin: w.pin(), IPTables: w.kind, NetNS: w.hv}
}

// pin is a BPF file system for the test.
func (w *world) pin() string { return filepath.Join(w.dir, "bpf") }

// close flushes everything and closes the manager.
func (w *world) close() {
	w.Helper()
	ctx := w.Context()
	if ctx.Err() != nil {
		ctx = contextOf(w.T)
	}
	if err := w.Flush(ctx, "red"); err != nil {
		w.Error(err)
	}
	if err := w.Manager.Close(); err != nil {
		w.Error(err)
	}
	w.Manager = nil
}

// do carries out a command.
func (w *world) do(command string) *Answer {
	w.Helper()
	a, err := w.Do(w.Context(), Request{Tenant: "red", Words: strings.Fields(command)})
	if err != nil {
		w.Fatalf("%s: %v", command, err)
	}
	return a
}

// run runs a command in a namespace.
func (w *world) run(ns *netns.NS, words ...string) string {
	w.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.CommandContext(w.Context(), words[0], words[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		w.Fatalf("%s: %v: %s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// space makes a namespace for the test.
func space(t *testing.T) *netns.NS {
	t.Helper()
	name := "dwell-fw-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		ns.Close()
	})
	return ns
}

// marker is a port that no test drops packets to.
const marker = 9

// passes sends a UDP packet from the one to the port of the other, and reports whether it
// arrives.
func (w *world) passes(from *netns.NS, source string, to *netns.NS, addr string, port uint16) bool {
	w.Helper()
	l := w.lane(from, source, to, addr, port)
	defer l.close()
	return l.passes()
}

// lane is a port of somebody, to which packets are sent, and a marker beside it.
type lane struct {
	*testing.T
	addr            netip.Addr
	port            uint16
	out, got, after *net.UDPConn
}

func (w *world) lane(from *netns.NS, source string, to *netns.NS, addr string, port uint16) *lane {
	w.Helper()
	at := netip.MustParseAddr(addr)
	return &lane{
		T: w.T, addr: at, port: port, out: listen(w.T, from, netip.AddrPortFrom(netip.MustParseAddr(source), 0)),
		got: listen(w.T, to, netip.AddrPortFrom(at, port)), after: listen(w.T, to, netip.AddrPortFrom(at, marker)),
	}
}

func (l *lane) close() {
	for _, c := range []*net.UDPConn{l.out, l.got, l.after} {
		if err := c.Close(); err != nil {
			l.Error(err)
		}
	}
}

// passes sends a packet, and reports whether it arrives. Packets stay in order, so it was
// dropped if one that was sent later, to the marker, is there and it is not.
func (l *lane) passes() bool {
	l.Helper()
	for _, p := range []uint16{l.port, marker} {
		if _, err := l.out.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(l.addr, p)); err != nil {
			l.Fatal(err)
		}
	}
	if err := l.after.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		l.Fatal(err)
	}
	buf := make([]byte, 8)
	if _, _, err := l.after.ReadFromUDPAddrPort(buf); err != nil {
		l.Fatalf("not even the marker has arrived: %v", err)
	}
	raw, err := l.got.SyscallConn()
	if err != nil {
		l.Fatal(err)
	}
	n := 0
	if err := raw.Read(func(fd uintptr) bool {
		n, _, _ = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
		return true
	}); err != nil {
		l.Fatal(err)
	}
	return n > 0
}

func listen(t *testing.T, ns *netns.NS, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := ns.Do(func() (err error) {
		// A process that another test step is just starting has a copy of a socket that was closed.
		for limit := time.Now().Add(10 * time.Second); ; {
			c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
			if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(limit) {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(fmt.Errorf("listening at %v: %w", at, err))
	}
	return c
}

// outwards sends from the guest to the port of the other end.
func (w *world) outwards(port uint16) bool {
	w.Helper()
	return w.passes(w.guest, "192.0.2.10", w.out, "198.51.100.2", port)
}
