// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

func TestMain(m *testing.M) {
	if prefix := os.Getenv(childEnv); prefix != "" {
		childUp(prefix)
	}
	goleak.VerifyTestMain(m)
}

// options returns a prefix of the test's own, whose labs go with the test.
func options(t *testing.T, suffix string) lab.Options {
	t.Helper()
	privilegetest.NetNS(t)
	opts := lab.Options{Prefix: fmt.Sprintf("dwt%d%s", os.Getpid(), suffix)}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if _, err := lab.Down(context.Background(), "", opts); err != nil {
			t.Error(err)
		}
		checkNothingLeft(t, opts)
	})
	return opts
}

func up(t *testing.T, name string, opts lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Up(t.Context(), name, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// checkNothingLeft fails if a name of the prefix is left in /run.
func checkNothingLeft(t *testing.T, opts lab.Options) {
	t.Helper()
	for _, dir := range []string{"/run", "/run/netns"} {
		files, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		for _, f := range files {
			if strings.HasPrefix(f.Name(), opts.Prefix+"-") {
				t.Errorf("%s/%s is left", dir, f.Name())
			}
		}
	}
}

// ping sends n echoes from the first guest and fails unless all are answered.
func ping(t *testing.T, l *lab.Lab, target netip.Addr, n int) {
	t.Helper()
	pingFrom(t, l, lab.Ping{From: l.Topology().Guests()[0], To: target}, n, 0)
}

// pingFrom sends n echoes with an identifier, or a random one if that is 0, and fails unless
// each is answered once.
func pingFrom(t *testing.T, l *lab.Lab, p lab.Ping, n int, id uint16) {
	t.Helper()
	ns, err := l.Open(p.From)
	if err != nil {
		t.Error(err)
		return
	}
	defer ns.Close()
	rep, err := pinger.Run(t.Context(), pinger.Config{
		NetNS: ns, Target: p.To, Count: n, ID: id, Interval: time.Millisecond, Timeout: 30 * time.Second,
	})
	if err != nil {
		t.Error(err)
		return
	}
	if rep.Received() != n || rep.Duplicates() != 0 {
		t.Errorf("%s: %d of %d echoes from %s to %s answered, %d more than once: %+v",
			l.Topology().Name, rep.Received(), n, p.From, p.To, rep.Duplicates(), rep.Echoes)
	}
}

func TestEveryTopologyPingsAtOnce(t *testing.T) {
	for _, top := range lab.Topologies() {
		t.Run(top.Name, func(t *testing.T) {
			l := up(t, top.Name, options(t, "p"))
			for _, p := range top.Pings() {
				pingFrom(t, l, p, 3, 0)
			}
			for _, guest := range top.Guests() {
				if to := l.Target(true); to.IsValid() {
					pingFrom(t, l, lab.Ping{From: guest, To: to}, 3, 0)
				}
			}
			for _, role := range top.Roles() {
				inode, name := l.NetNS(role)
				if got, err := netns.Inode(name); err != nil || inode == 0 || got != inode {
					t.Errorf("NetNS(%s) = %d %s; the kernel says %d, %v", role, inode, name, got, err)
				}
			}
			if err := l.Down(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The outside sees the hypervisor's IPv4 address and the guest's IPv6 address.
func TestBridgeMasquerades(t *testing.T) {
	l := up(t, "bridge", options(t, "n"))
	ns, err := l.Open(lab.Outside)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var sniffer4, sniffer6 *icmp.PacketConn
	err = ns.Do(func() (err error) {
		if sniffer4, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0"); err != nil {
			return err
		}
		sniffer6, err = icmp.ListenPacket("ip6:ipv6-icmp", "::")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sniffer4.Close()
	defer sniffer6.Close()
	ping(t, l, l.Target(false), 1)
	ping(t, l, l.Target(true), 1)
	if got := requestSource(t, sniffer4, byte(ipv4.ICMPTypeEcho)); got != "192.168.122.208" {
		t.Errorf("the IPv4 request came from %s, want the hypervisor's 192.168.122.208", got)
	}
	const echoRequest6 = 128
	if got := requestSource(t, sniffer6, echoRequest6); got != "2001:db8:0:1::10" {
		t.Errorf("the IPv6 request came from %s, want the guest's 2001:db8:0:1::10", got)
	}
}

func requestSource(t *testing.T, c *icmp.PacketConn, typ byte) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && buf[0] == typ {
			return from.String()
		}
	}
}

func TestUpTwiceIsTheSame(t *testing.T) {
	for _, name := range []string{"bridge", "tenants"} {
		opts := options(t, "t")
		first := up(t, name, opts)
		before := dumpLab(t, first)
		second := up(t, name, opts)
		if diff := cmp.Diff(before, dumpLab(t, second)); diff != "" {
			t.Errorf("the second Up changed the lab (-before +after):\n%s", diff)
		}
		ping(t, second, second.Target(false), 2)
		for range 2 {
			if err := second.Down(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Whatever is broken in a lab, Up mends it.
func TestUpRepairs(t *testing.T) {
	opts := options(t, "r")
	l := up(t, "bridge", opts)
	_, outside := l.NetNS(lab.Outside)
	_, guest := l.NetNS(lab.Guest)
	for _, tc := range []struct {
		name  string
		spoil func() error
	}{
		{"a link is gone", func() error { return delLink(l, lab.Hypervisor, "brovsns-br") }},
		{"the bridge is gone", func() error { return delLink(l, lab.Hypervisor, "ovs-br") }},
		{"a link is down", func() error { return setDown(l, lab.Guest, "brovsns-ns") }},
		{"a namespace is gone", func() error { return netns.Delete(outside) }},
		{"only a name is left", func() error {
			if err := netns.Delete(guest); err != nil {
				return err
			}
			return os.WriteFile("/run/netns/"+guest, nil, 0o444)
		}},
	} {
		if err := tc.spoil(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		l = up(t, "bridge", opts)
		ping(t, l, l.Target(false), 2)
		ping(t, l, l.Target(true), 2)
		if t.Failed() {
			t.Fatalf("after: %s", tc.name)
		}
	}
}

func TestListTellsWhatIsThere(t *testing.T) {
	opts := options(t, "l")
	state := func() lab.Status {
		t.Helper()
		all, err := lab.List(opts)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(s lab.Status) bool { return s.Topology.Name == "bridge" })
		return all[i]
	}
	if s := state(); s.State != lab.StateDown || len(s.NetNS) != 0 {
		t.Errorf("before Up: %s %v", s.State, s.NetNS)
	}
	l := up(t, "bridge", opts)
	if s := state(); s.State != lab.StateUp || len(s.NetNS) != 3 || len(s.Missing) != 0 {
		t.Errorf("after Up: %s %v, missing %v", s.State, s.NetNS, s.Missing)
	}
	if err := delLink(l, lab.Hypervisor, "ens3"); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.State != lab.StatePartial || !slices.Equal(s.Missing, []string{"ens3", "outside0"}) {
		t.Errorf("without ens3: %s, missing %v", s.State, s.Missing)
	}
	removed, err := lab.Down(t.Context(), "", opts)
	if err != nil || len(removed) != 3 {
		t.Errorf("Down removed %v, %v", removed, err)
	}
	if s := state(); s.State != lab.StateDown {
		t.Errorf("after Down: %s", s.State)
	}
}

func TestGetAndOpenErrors(t *testing.T) {
	opts := options(t, "g")
	if _, err := lab.Get("bridge", opts); err == nil || !strings.Contains(err.Error(), "dwell lab up bridge") {
		t.Errorf("Get of a lab that is down: %v", err)
	}
	l := up(t, "bridge", opts)
	again, err := lab.Get("bridge", opts)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := l.NetNS(lab.Guest)
	if got, _ := again.NetNS(lab.Guest); got != want {
		t.Errorf("Get: the guest is %d, want %d", got, want)
	}
	if _, err := again.Open("gest"); err == nil || !strings.Contains(err.Error(), "guest, hypervisor, outside") {
		t.Errorf("Open of an unknown role: %v", err)
	}
	if inode, name := again.NetNS("gest"); inode != 0 || name != "" {
		t.Errorf("NetNS of an unknown role: %d %q", inode, name)
	}
	if _, err := lab.Up(t.Context(), "bridge", lab.Options{Prefix: "a/b"}); err == nil {
		t.Error("took a prefix with a slash")
	}
}

// Labs side by side do not disturb each other, nor do two makers of one lab.
func TestInParallel(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 6 {
		opts := options(t, fmt.Sprintf("q%d", i%3))
		wg.Go(func() {
			l, err := lab.Up(t.Context(), "bridge", opts)
			if err != nil {
				t.Error(err)
				return
			}
			ping(t, l, l.Target(i%2 == 0), 2)
		})
	}
	wg.Wait()
}

// The very first packet arrives: no device drops it because its carrier has not been
// noticed, and no address is silent because its work queue has not run. Either would cost
// a second, until the neighbour is asked for again.
func TestFirstPacketGetsThrough(t *testing.T) {
	for range 20 {
		l := up(t, "bridge", options(t, "f"))
		ns, err := l.Open(lab.Guest)
		if err != nil {
			t.Fatal(err)
		}
		for _, v6 := range []bool{false, true} {
			rep, err := pinger.Run(t.Context(), pinger.Config{
				NetNS: ns, Target: l.Target(v6), Count: 1, Timeout: 900 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			if rep.Lost() > 0 {
				t.Errorf("the first ping to %s was lost", l.Target(v6))
			}
		}
		ns.Close()
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
