// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// up makes a lab of the test's own, whose neighbours know each other already.
func up(t *testing.T, topology string) *lab.Lab {
	t.Helper()
	privilegetest.BPF(t)
	l, err := lab.Up(t.Context(), topology, lab.Options{Prefix: fmt.Sprintf("dwa%d.%x", os.Getpid(), crc32.ChecksumIEEE([]byte(t.Name())))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, v6 := range []bool{false, true} {
		if target := l.Target(v6); target.IsValid() {
			if r := ping(t, l, pinger.Config{Target: target, Count: 1}); r.Lost() > 0 {
				t.Fatalf("%s: no reply from %s", topology, target)
			}
		}
	}
	return l
}

// place is a namespace of a lab, to break something in.
type place struct {
	t testing.TB
	*netns.NS
	nl *netlink.Handle
}

func at(t testing.TB, l *lab.Lab, role string) *place {
	t.Helper()
	ns, err := l.Open(role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return inside(t, ns)
}

func inside(t testing.TB, ns *netns.NS) *place {
	t.Helper()
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nl.Close)
	return &place{t, ns, nl}
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s: %v", p.Name(), err)
	}
}

func (p *place) link(name string) netlink.Link {
	p.t.Helper()
	l, err := p.nl.LinkByName(name)
	p.must(err)
	return l
}

func (p *place) index(name string) int {
	p.t.Helper()
	return p.link(name).Attrs().Index
}

// sysctl writes a file below /proc/sys/net.
func (p *place) sysctl(path, value string) {
	p.t.Helper()
	p.must(p.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys/net", path), []byte(value), 0) }))
}

// hardware returns the address of a device.
func (p *place) hardware(name string) net.HardwareAddr {
	p.t.Helper()
	return p.link(name).Attrs().HardwareAddr
}

// neighbour gives the hardware address of a neighbour for good.
func (p *place) neighbour(device string, addr netip.Addr, hw net.HardwareAddr) {
	p.t.Helper()
	p.must(p.nl.NeighSet(&netlink.Neigh{
		LinkIndex: p.index(device), IP: addr.AsSlice(), HardwareAddr: hw, State: netlink.NUD_PERMANENT,
	}))
}

// hook is a place of nftables, in one family.
type hook struct {
	family   nftables.TableFamily
	num      *nftables.ChainHook
	priority *nftables.ChainPriority
}

// drop adds a chain with one rule: what came in on the device, or goes out on it where
// the hook knows no other, is dropped. No device means everything.
func (p *place) drop(h hook, device string) {
	p.t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(p.FD()))
	p.must(err)
	table := conn.AddTable(&nftables.Table{Name: "test", Family: h.family})
	chain := conn.AddChain(&nftables.Chain{
		Name: "drops", Table: table, Type: nftables.ChainTypeFilter, Hooknum: h.num, Priority: h.priority,
	})
	rule := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
	if device == "" {
		rule = rule[2:]
	} else {
		rule[1].(*expr.Cmp).Data = binaryutil.NativeEndian.PutUint32(uint32(p.index(device)))
	}
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: rule})
	p.must(conn.Flush())
}

// throttle lets a device send rate bytes a second, burst of them at once, and has it
// hold back no more than limit.
func (p *place) throttle(device string, rate uint64, burst, limit uint32) {
	p.t.Helper()
	p.must(p.nl.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: p.index(device), Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
		},
		Rate: rate, Buffer: netlink.Xmittime(rate, burst), Limit: limit,
	}))
}

// echo is a request that the pinger does not send.
type echo struct {
	target  netip.Addr
	id, seq int
	payload []byte
	// ttl is the hop limit, the system's default if 0.
	ttl int
}

// listen opens a raw socket for IPv4 that is closed with the test.
func (p *place) listen() *icmp.PacketConn {
	p.t.Helper()
	var conn *icmp.PacketConn
	p.must(p.Do(func() (err error) {
		conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	}))
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

// deaf opens a raw socket that takes no replies, so that the kernel finds none for them.
func (p *place) deaf(v6 bool) *icmp.PacketConn {
	p.t.Helper()
	if !v6 {
		conn := p.listen()
		f := &ipv4.ICMPFilter{}
		f.SetAll(true)
		p.must(conn.IPv4PacketConn().SetICMPFilter(f))
		return conn
	}
	var conn *icmp.PacketConn
	p.must(p.Do(func() (err error) {
		conn, err = icmp.ListenPacket("ip6:ipv6-icmp", "::")
		return err
	}))
	p.t.Cleanup(func() { conn.Close() })
	f := &ipv6.ICMPFilter{}
	f.SetAll(true)
	p.must(conn.IPv6PacketConn().SetICMPFilter(f))
	return conn
}

// send sends a request from the namespace, to which nobody takes the reply. The error is
// the kernel's.
func (p *place) send(e echo) error {
	p.t.Helper()
	return p.write(p.deaf(e.target.Is6()), e)
}

func (p *place) write(conn *icmp.PacketConn, e echo) error {
	v6 := e.target.Is6()
	msg := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: e.id, Seq: e.seq, Data: e.payload}}
	if v6 {
		msg.Type = ipv6.ICMPTypeEchoRequest
	}
	var err error
	switch {
	case e.ttl > 0 && v6:
		err = conn.IPv6PacketConn().SetHopLimit(e.ttl)
	case e.ttl > 0:
		err = conn.IPv4PacketConn().SetTTL(e.ttl)
	}
	if err != nil {
		return err
	}
	b, err := msg.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = conn.WriteTo(b, &net.IPAddr{IP: e.target.AsSlice()})
	return err
}

// awaitUp waits until the kernel has noticed a device's carrier, awaitNoCarrier until it
// has taken the device's queues away.
func (p *place) awaitUp(device string) { p.t.Helper(); p.await(device, true) }

func (p *place) awaitNoCarrier(device string) { p.t.Helper(); p.await(device, false) }

func (p *place) await(device string, up bool) {
	p.t.Helper()
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	p.must(p.Do(func() error {
		return netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{ListExisting: true})
	}))
	stopped := false
	for u := range updates {
		if !stopped && u.Attrs().Name == device && (u.Attrs().OperState == netlink.OperUp) == up {
			stopped = true
			close(done) // the library then closes updates, once nothing is left in them
		}
	}
	if !stopped {
		p.t.Fatalf("%s: no news of %s", p.Name(), device)
	}
}
