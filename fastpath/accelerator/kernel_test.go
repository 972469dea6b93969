// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/liberal"
)

// TestKernelFast wants UDP, TCP and pings through NAT to become fast, in both directions, and TCP's windows
// to be left unchecked.
func TestKernelFast(t *testing.T) {
	l := newLab(t)
	l.start(flow.On)
	l.udp().fast()
	c := l.tcp()
	c.fast()
	conn, err := liberal.Open(l.hv)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	remote := c.why().Flows[0].Forth.Packet
	var sport, dport uint16
	if _, err := fmt.Sscanf(strings.NewReplacer(guestAddr+":", "", outAddr+":", "").Replace(remote), "tcp %d > %d ack", &sport, &dport); err != nil {
		t.Fatalf("%q: %v", remote, err)
	}
	found, err := conn.Look(flow.Tuple{Proto: 6, Src: c.local.Addr(), Dst: netip.MustParseAddr(outAddr), Sport: sport, Dport: dport}, 0)
	if err != nil || !found.Liberal {
		t.Errorf("%+v, %v", found, err)
	}
	w := c.why()
	if !w.Fast || len(w.Flows) != 1 || w.Flows[0].State != StateFast || w.Flows[0].Forth.In != "red-1" || w.Flows[0].Forth.Out != "ens3" ||
		w.Flows[0].Forth.NextHop != outAddr || !w.Flows[0].Forth.Routed {
		t.Errorf("%+v, %+v", w, w.Flows)
	}
	l.pingUntilFast(outAddr)
	l.pingUntilFast(secondAddr) // over the bridge
	s := l.status().Tenants[0]
	if s.From.Differ != 0 || s.To.Differ != 0 || s.Flows < 6 || len(s.Problems) != 0 || len(s.Blocked) != 0 {
		t.Errorf("%+v", s)
	}
}

// pingUntilFast has the guest ping an address until many packets of both directions are fast.
func (l *lab) pingUntilFast(addr string) {
	l.Helper()
	const many = 20
	ping := exec.CommandContext(l.Context(), "ping", "-q", "-i", "0.05", addr)
	l.in(l.guest, ping.Start)
	defer func() { _, _ = ping.Process.Kill(), ping.Wait() }()
	l.until("fast: pings to "+addr, func() bool {
		list, err := l.m.Flows(l.Context(), Query{Tenant: "red"}, 0)
		if err != nil {
			l.Fatal(err)
		}
		return slices.ContainsFunc(list.Flows, func(f FlowListing) bool {
			of := func(d *DirectionListing) bool { return strings.HasPrefix(d.Packet, "icmp "+guestAddr+" > "+addr) }
			return f.Forth != nil && f.Back != nil && (of(f.Forth) || of(f.Back)) && f.Forth.Fast >= many && f.Back.Fast >= many
		})
	})
}

// TestKernelTunnel wants frames to be put into a tunnel that a bridge has as a port, and taken out of it.
func TestKernelTunnel(t *testing.T) {
	l := newLab(t)
	const vxlan = "ip link add vx type vxlan id 42 dstport 4789 noudpcsum local %s remote %s"
	l.run(l.hv, fmt.Sprintf(vxlan, "203.0.113.1", outAddr))
	l.run(l.hv, "ip link set vx master br-red up")
	l.run(l.out, fmt.Sprintf(vxlan, outAddr, "203.0.113.1"))
	l.far = "192.168.0.20"
	l.run(l.out, "ip addr add "+l.far+"/24 dev vx")
	l.run(l.out, "ip link set vx up")
	l.start(flow.On)
	c := l.udp()
	c.fast()
	for _, f := range c.why().Flows {
		if back := f.Back; back != nil && back.Fast == 0 {
			t.Errorf("nothing came out of the tunnel: %+v", back)
		}
	}
	if s := l.status(); s.Tenants[0].From.Differ+s.Tenants[0].To.Differ != 0 {
		t.Errorf("%+v", s.Tenants[0])
	}
}

// TestKernelShadow wants nothing to be fast in shadow mode, and what would be to be foretold.
func TestKernelShadow(t *testing.T) {
	l := newLab(t)
	l.start(flow.Shadow)
	c := l.udp()
	c.until("foretold", func() bool {
		if err := c.say(); err != nil {
			t.Fatal(err)
		}
		w := c.why()
		return len(w.Flows) == 1 && w.Flows[0].State == StateShadow
	})
	c.until("foretold often", func() bool {
		if err := c.say(); err != nil {
			t.Fatal(err)
		}
		s := l.status().Tenants[0]
		return s.From.Same >= 10 && s.To.Same >= 10
	})
	s := l.status().Tenants[0]
	if s.From.Fast+s.To.Fast != 0 || s.From.Differ+s.To.Differ != 0 {
		t.Errorf("%+v", s)
	}
	if w := c.why(); w.Fast || w.Reasons[0].Reason != "shadow" {
		t.Errorf("%+v", w)
	}
}

// TestKernelChanges wants what forbids packets to forbid them at once, although they were fast.
func TestKernelChanges(t *testing.T) {
	l := newLab(t)
	l.start(flow.On)
	c := l.udp()
	c.fast()

	// A rule that drops them.
	l.run(l.hv, "nft insert rule inet filter forward ip saddr "+guestAddr+" drop")
	l.until("told of the rule", func() bool { return l.m.Stats().Changes["rules"] > 1 })
	before := c.sent()
	c.patient = 200 * time.Millisecond
	for range 5 {
		if err := c.say(); err == nil {
			t.Fatal("a packet passes that a rule drops")
		}
	}
	c.patient = patience
	if after := c.sent(); after[0] != before[0] {
		t.Errorf("%d packets from the guest were fast", after[0]-before[0])
	}
	l.run(l.hv, "nft flush chain inet filter forward")
	c.fast()

	// A connection that is taken away: the next is another, which is learnt anew.
	l.forget()
	c.fast()

	// A rule that looks at single packets: they stay slow, and it says why.
	l.run(l.hv, "nft add rule inet filter forward ip saddr "+guestAddr+" limit rate 100000/second accept")
	c.until("refused", func() bool {
		if err := c.say(); err != nil {
			t.Fatal(err)
		}
		w := c.why()
		return len(w.Flows) > 0 && w.Flows[0].State == StateRefused
	})
	w := c.why()
	if w.Fast || w.Reasons[0].Reason != "forbidden" || w.Flows[0].Forth.Detail == "" {
		t.Errorf("%+v, %+v", w, w.Flows[0].Forth)
	}
	t.Logf("refused: %s", w.Reasons[0].Text)
	l.run(l.hv, "nft flush chain inet filter forward")
	c.fast()

	// A queue that shapes at the bridge, which would be passed over.
	l.run(l.hv, "tc qdisc add dev br-red root tbf rate 100mbit burst 1mb latency 100ms")
	l.until("blocked", func() bool {
		s := l.status()
		return len(s.Tenants[0].Blocked) > 0 && !s.Held
	})
	c.until("stopped", func() bool {
		if err := c.say(); err != nil {
			t.Fatal(err)
		}
		w := c.why()
		return len(w.Flows) > 0 && w.Flows[0].State == StateStopped && w.Reasons[0].Reason == "device" && w.Reasons[0].Level == "tenant"
	})
	before = c.sent()
	if err := c.say(); err != nil || c.sent() != before {
		t.Errorf("fast although a queue would be passed over: %v, %v", c.sent(), err)
	}
	l.run(l.hv, "tc qdisc del dev br-red root")
	c.fast()

	if n, err := l.m.Flush(t.Context(), Query{Tenant: "red"}); err != nil || n < 2 {
		t.Errorf("flushed %d, %v", n, err)
	}
	if w := c.why(); w.Fast || w.Reasons[0].Reason != "unknown" {
		t.Errorf("%+v", w)
	}
	c.fast()
	s := l.status().Tenants[0]
	if s.From.Differ+s.To.Differ != 0 {
		t.Errorf("%+v", s)
	}
}

// forget takes the guest's connections out of connection tracking.
func (l *lab) forget() {
	l.Helper()
	h, err := l.hv.Netlink(unix.NETLINK_NETFILTER)
	if err != nil {
		l.Fatal(err)
	}
	defer h.Close()
	filter := &netlink.ConntrackFilter{}
	if err := filter.AddIP(netlink.ConntrackOrigSrcIP, net.ParseIP(guestAddr)); err != nil {
		l.Fatal(err)
	}
	if n, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter); err != nil || n == 0 {
		l.Fatalf("forgot %d connections: %v", n, err)
	}
}

// TestKernelWatch wants packets to be counted that somebody asks about.
func TestKernelWatch(t *testing.T) {
	l := newLab(t)
	l.start(flow.On)
	c := l.udp()
	c.fast()
	stop := make(chan struct{})
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		for {
			select {
			case <-stop:
				return
			default:
				_ = c.say()
			}
		}
	}()
	defer func() {
		close(stop)
		<-talked
	}()
	l.until("seen to be fast in both directions", func() bool {
		w, err := l.m.Why(t.Context(), WhyQuery{Query: Query{Tenant: "red"}, Packet: c.packet, Watch: patience})
		if err != nil {
			t.Fatal(err)
		}
		if w.Watched >= patience {
			t.Fatalf("watched to the end although packets were seen: %+v", w)
		}
		fast := map[string]bool{}
		for _, o := range w.Observed {
			if o.Reason == "fast" && o.Packets > 0 {
				fast[o.Packet] = true
			}
		}
		return len(fast) == 2
	})
}

// TestKernelEnd wants an orderly stop to lose nothing, the next manager to go on, and taking it down to
// leave nothing.
func TestKernelEnd(t *testing.T) {
	l := newLab(t)
	l.start(flow.On)
	c := l.udp()
	c.fast()
	talk := func(what string, do func()) {
		stop, failed := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					failed <- n
					return
				default:
					if c.say() != nil {
						n++
					}
				}
			}
		}()
		do()
		close(stop)
		if n := <-failed; n > 0 {
			t.Errorf("%s: %d packets were lost", what, n)
		}
	}
	talk("stop", func() { l.stop() })
	talk("start", func() { l.start(flow.On) })
	c.fast()
	if err := Remove(l.pin, l.hv); !errors.Is(err, ErrAttended) {
		t.Errorf("Remove under a manager: %v", err)
	}
	talk("down", func() {
		if err := l.m.Down(); err != nil {
			t.Error(err)
		}
	})
	if left, err := filepath.Glob(filepath.Join(l.pin, "fastpath", "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(l.pin, "fastpath")); !os.IsNotExist(err) {
		t.Errorf("left: the directory, %v", err)
	}
	if s := l.status(); len(s.Devices) != 0 || s.Attended {
		t.Errorf("%+v", s)
	}
}
