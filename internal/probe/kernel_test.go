// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
)

// patience is how long to wait for what must happen, on a busy machine.
const patience = time.Minute

var (
	near4, far4 = netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24")
	near6, far6 = netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::2/64")
)

// connect makes a link from one namespace to another, with addresses.
func connect(t *testing.T, near, far *netns.NS) {
	t.Helper()
	link(t, near, far, "eth0")
	address(t, near, near4, near6)
	address(t, far, far4, far6)
}

// link makes a link from one namespace to another, where it is eth0.
func link(t *testing.T, near, far *netns.NS, name string) {
	t.Helper()
	nl, err := near.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(far.FD())}
	pair.Name = name
	if err := nl.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
}

// address gives eth0 addresses, and sets it up.
func address(t *testing.T, ns *netns.NS, all ...netip.Prefix) {
	t.Helper()
	assign(t, ns, "eth0", all...)
}

func assign(t *testing.T, ns *netns.NS, name string, all ...netip.Prefix) {
	t.Helper()
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	on, err := nl.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}, Flags: 0x02 /* IFA_F_NODAD */}
		if err := nl.AddrAdd(on, addr); err != nil {
			t.Fatal(err)
		}
	}
	if err := nl.LinkSetUp(on); err != nil {
		t.Fatal(err)
	}
}

// unaddress takes an address of eth0 away.
func unaddress(t *testing.T, ns *netns.NS, p netip.Prefix) {
	t.Helper()
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	eth0, err := nl.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := nl.AddrDel(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}); err != nil {
		t.Fatal(err)
	}
}

// live is a prober in the real world.
type live struct {
	*Prober
	t *testing.T

	mu      sync.Mutex
	results []Result
}

func liveProber(t *testing.T, probes ...Probe) *live {
	t.Helper()
	where, err := inventory.New(inventory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t}
	l.Prober = New(Options{Record: func(r Result) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.results = append(l.results, r)
	}})
	l.Set(probes, plenty)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, where)
	}()
	t.Cleanup(func() {
		stop()
		<-done
		where.Close()
	})
	return l
}

// await waits until a target's state is as wanted, and a result of that kind is recorded from
// now on.
func (l *live) await(want Outcome, target netip.Addr) {
	l.t.Helper()
	l.mu.Lock()
	l.results = nil
	l.mu.Unlock()
	is := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		recorded := slices.ContainsFunc(l.results, func(r Result) bool { return r.Outcome == want && r.Target == target })
		state := slices.ContainsFunc(l.Stats().States, func(s State) bool { return s.Last == want && s.Target == target })
		return recorded && state
	}
	l.until(fmt.Sprintf("%s is %d", target, want), is)
}

func (l *live) until(what string, is func() bool) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			l.t.Fatalf("not so: %s; %+v", what, l.Stats())
		}
	}
}

// toFar is a probe of the other end of a link.
func toFar(from *netns.NS) Probe {
	return Probe{
		Name: "far", NetNS: []string{from.Name()}, Targets: []netip.Addr{far4.Addr(), far6.Addr()},
		Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, Size: 100,
	}
}

// Targets of both kinds answer; one that goes away is lost, or cannot be reached, while the other
// still answers, and answers again when it is back.
func TestTargetsOnTheKernel(t *testing.T) {
	near, far := netnstest.New(t, "probe-near"), netnstest.New(t, "probe-far")
	connect(t, near, far)
	p := toFar(near)
	p.Interval, p.Timeout = 200*time.Millisecond, 200*time.Millisecond
	l := liveProber(t, p)
	l.await(Answered, far4.Addr())
	l.await(Answered, far6.Addr())
	unaddress(t, far, far4)
	l.until("the IPv4 target is away", func() bool {
		return slices.ContainsFunc(l.Stats().States, func(s State) bool {
			return s.Target == far4.Addr() && s.Last != Answered
		})
	})
	l.await(Answered, far6.Addr())
	address(t, far, far4)
	l.await(Answered, far4.Addr())
}

// Of what has no route it is said why; it begins to work when it has one.
func TestUnreachableOnTheKernel(t *testing.T) {
	near, far := netnstest.New(t, "probe-noroute"), netnstest.New(t, "probe-behind")
	l := liveProber(t, toFar(near))
	l.await(NoRoute, far4.Addr())
	want := "probe far cannot be sent from " + near.Name() + ": sendto: network is unreachable"
	if problems := l.Stats().Problems; !slices.Contains(problems, want) {
		t.Errorf("problems are %q, want %q", problems, want)
	}
	connect(t, near, far)
	l.await(Answered, far4.Addr())
	l.until("no problems", func() bool { return len(l.Stats().Problems) == 0 })
}

// A namespace that is removed is not kept alive by its probes, and one with its name is probed
// from when it is there.
func TestNamespaceOnTheKernel(t *testing.T) {
	for range 2 {
		near, far := netnstest.New(t, "probe-comes"), netnstest.New(t, "probe-far2")
		l := liveProber(t, toFar(near))
		for range 2 {
			connect(t, near, far)
			l.await(Answered, far4.Addr())
			name := near.Name()
			near.Close()
			if err := netns.Delete(name); err != nil {
				t.Fatal(err)
			}
			// The other end of the link goes when the namespace does.
			l.until("the namespace is gone", func() bool { return !hasLink(t, far, "eth0") })
			l.until("nothing is probed", func() bool { s := l.Stats(); return len(s.States) == 0 && len(s.Unresolved) == 1 })
			near = netnstest.New(t, "probe-comes")
		}
		near.Close()
		if err := netns.Delete(near.Name()); err != nil {
			t.Fatal(err)
		}
		if err := netns.Delete(far.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

func hasLink(t *testing.T, ns *netns.NS, name string) bool {
	t.Helper()
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	_, err = nl.LinkByName(name)
	return err == nil
}

// Both kinds of ping, small and large, are answered by the kernel; what nobody answers is lost, and
// what is called off does not wait for its timeout.
func TestSendOnTheKernel(t *testing.T) {
	ns := netnstest.WithLoopback(t, "probe-loop")
	p := ping{target: netip.MustParseAddr("127.0.0.1"), id: 7, seq: 9, payload: payload(MinSize, time.Now()), timeout: patience}
	if rtt, err := send(t.Context(), ns, p); err != nil || rtt <= 0 {
		t.Errorf("%v, %v", rtt, err)
	}
	p.target, p.payload = netip.MustParseAddr("::1"), payload(60000, time.Now())
	if rtt, err := send(t.Context(), ns, p); err != nil || rtt <= 0 {
		t.Errorf("large, IPv6: %v, %v", rtt, err)
	}
	ignoreEchoes(t, ns)
	p.target, p.timeout = netip.MustParseAddr("127.0.0.1"), 10*time.Millisecond
	if _, err := send(t.Context(), ns, p); !errors.Is(err, errLost) {
		t.Errorf("nobody answers: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.timeout = patience
	go cancel()
	if _, err := send(ctx, ns, p); outcome(ctx, err) != Aborted || errors.Is(err, errLost) {
		t.Errorf("canceled: %v", err)
	}
}

// A reply must have all that was sent: numbers can be guessed, and what is random in the payload
// cannot.
func TestForgedRepliesDoNotCount(t *testing.T) {
	ns := netnstest.WithLoopback(t, "probe-forged")
	ignoreEchoes(t, ns)
	p := ping{target: netip.MustParseAddr("127.0.0.1"), id: 7, seq: 9, payload: payload(MinSize, time.Now()), timeout: 300 * time.Millisecond}
	reply := func(with ping) error {
		stop := forge(t, ns, with)
		defer stop()
		_, err := send(t.Context(), ns, p)
		return err
	}
	other := p
	other.payload = payload(MinSize, time.Now())
	copy(other.payload, p.payload[:28]) // all but the random number
	if err := reply(other); !errors.Is(err, errLost) {
		t.Errorf("another payload: %v", err)
	}
	other = p
	other.seq++
	if err := reply(other); !errors.Is(err, errLost) {
		t.Errorf("another number: %v", err)
	}
	p.timeout = patience
	if err := reply(p); err != nil {
		t.Errorf("the same: %v", err)
	}
}

// forge sends replies to a ping again and again until it is stopped.
func forge(t *testing.T, ns *netns.NS, p ping) (stop func()) {
	t.Helper()
	return forgeMessage(t, ns, p.target, &icmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: &icmp.Echo{ID: int(p.id), Seq: int(p.seq), Data: p.payload}})
}

// forgeMessage sends a message again and again until it is stopped.
func forgeMessage(t *testing.T, ns *netns.NS, to netip.Addr, m *icmp.Message) (stop func()) {
	t.Helper()
	var conn *icmp.PacketConn
	err := ns.Do(func() (err error) {
		conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	packet, err := m.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice()}); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(over)
		<-done
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// ignoreEchoes has the kernel answer nobody.
func ignoreEchoes(t *testing.T, ns *netns.NS) {
	t.Helper()
	err := ns.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/icmp_echo_ignore_all", []byte("1"), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}
