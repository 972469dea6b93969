// SPDX-License-Identifier: Apache-2.0

package liberal_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/liberal"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
)

// space makes a namespace in which connection tracking tracks what passes lo.
func space(t testing.TB) *netns.NS {
	t.Helper()
	ns := netnstest.WithLoopback(t, "liberal-"+strings.ToLower(t.Name()))
	run(t, ns, "nft", "add table inet t; add chain inet t c { type filter hook input priority 0; ct state invalid drop; }")
	return ns
}

func run(t testing.TB, ns *netns.NS, words ...string) {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns.Name()}, words...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", words, err, out)
	}
}

// connect opens a TCP connection in the namespace, and returns its ends and its first packet's tuple.
func connect(t testing.TB, ns *netns.NS, at string) (client, server net.Conn, original flow.Tuple) {
	t.Helper()
	err := ns.Do(func() error {
		l, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		defer l.Close()
		if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
			return err
		}
		server, err = l.Accept()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	src, dst := netip.MustParseAddrPort(client.LocalAddr().String()), netip.MustParseAddrPort(client.RemoteAddr().String())
	return client, server, flow.Tuple{Proto: 6, Src: src.Addr(), Dst: dst.Addr(), Sport: src.Port(), Dport: dst.Port()}
}

func open(t testing.TB, ns *netns.NS) *liberal.Conn {
	t.Helper()
	c, err := liberal.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func look(t *testing.T, c *liberal.Conn, tuple flow.Tuple) *liberal.Connection {
	t.Helper()
	found, err := c.Look(tuple, 0)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestSet wants both directions of exactly one connection to be liberal, and to stay so.
func TestSet(t *testing.T) {
	ns := space(t)
	c := open(t, ns)
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		client, server, tuple := connect(t, ns, at)
		_, _, other := connect(t, ns, at)
		before := look(t, c, tuple)
		if before.Liberal || !before.SeenReply || !before.Confirmed || before.Timeout <= 0 {
			t.Fatalf("%s: before: %+v", at, before)
		}
		if err := c.Set(tuple, 0); err != nil {
			t.Fatal(err)
		}
		if !look(t, c, tuple).Liberal {
			t.Errorf("%s: it is not liberal", at)
		}
		if look(t, c, other).Liberal {
			t.Errorf("%s: another connection is liberal, too", at)
		}
		for range 3 { // packets in both directions leave it as it is
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				if _, err := way[0].Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(way[1], make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
		}
		// What is not acknowledged yet may take 5 minutes, connections that close less.
		back := flow.Tuple{Proto: 6, Src: tuple.Dst, Dst: tuple.Src, Sport: tuple.Dport, Dport: tuple.Sport}
		if after := look(t, c, back); !after.Liberal || after.Timeout < 250e9 {
			t.Errorf("%s: after packets: %+v, before: %+v", at, after, before)
		}
	}
}

// TestZone wants a connection of another zone to be found there, and nowhere else.
func TestZone(t *testing.T) {
	ns := space(t)
	for _, chain := range []string{"PREROUTING", "OUTPUT"} {
		run(t, ns, "iptables", "-t", "raw", "-A", chain, "-p", "tcp", "-j", "CT", "--zone", "7")
	}
	c := open(t, ns)
	_, _, tuple := connect(t, ns, "127.0.0.1:0")
	if err := c.Set(tuple, 0); !errors.Is(err, liberal.ErrGone) {
		t.Errorf("zone 0: %v", err)
	}
	if err := c.Set(tuple, 7); err != nil {
		t.Fatal(err)
	}
	if found, err := c.Look(tuple, 7); err != nil || !found.Liberal {
		t.Errorf("zone 7: %+v, %v", found, err)
	}
}

// TestSetLeavesTheState wants a connection that closes to stay one that closes.
func TestSetLeavesTheState(t *testing.T) {
	ns := space(t)
	c := open(t, ns)
	client, server, tuple := connect(t, ns, "127.0.0.1:0")
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the server reads %v", err)
	}
	if err := c.Set(tuple, 0); err != nil {
		t.Fatal(err)
	}
	// FIN_WAIT or CLOSE_WAIT last 2 minutes or 1, established connections 5 days.
	if after := look(t, c, tuple); !after.Liberal || after.Timeout > 200e9 {
		t.Errorf("after: %+v", after)
	}
}

func TestGone(t *testing.T) {
	c := open(t, space(t))
	tuple := flow.Tuple{Proto: 6, Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2"), Sport: 1, Dport: 2}
	if err := c.Set(tuple, 0); !errors.Is(err, liberal.ErrGone) {
		t.Errorf("Set: %v", err)
	}
	if _, err := c.Look(tuple, 0); !errors.Is(err, liberal.ErrGone) {
		t.Errorf("Look: %v", err)
	}
	tuple.Proto = 17
	if err := c.Set(tuple, 0); err == nil || errors.Is(err, liberal.ErrGone) {
		t.Errorf("UDP has no windows, but: %v", err)
	}
	tuple.Proto, tuple.Dst = 6, netip.MustParseAddr("2001:db8::1")
	if err := c.Set(tuple, 0); err == nil || errors.Is(err, liberal.ErrGone) {
		t.Errorf("two versions of IP, but: %v", err)
	}
}

func BenchmarkSet(b *testing.B) {
	ns := space(b)
	c := open(b, ns)
	_, _, tuple := connect(b, ns, "127.0.0.1:0")
	for b.Loop() {
		if err := c.Set(tuple, 0); err != nil {
			b.Fatal(err)
		}
	}
}
