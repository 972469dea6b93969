// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/pinger"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// estate is a hypervisor with a bridge that guests of red and blue are on, and an agent that
// knows them by their ports.
type estate struct {
	*following
	t      *testing.T
	prefix string
	hyp    *place
	bridge netip.Addr
	made   int
	pings  int // that there are to be traces of
}

func newEstate(t *testing.T) *estate {
	privilegetest.BPF(t)
	prefix, _ := names(t)
	e := &estate{t: t, prefix: prefix, hyp: inside(t, create(t, prefix+"hyp"))}
	pid := os.Getpid()
	e.bridge = netip.AddrFrom4([4]byte{10, byte(pid >> 8), byte(pid), 1})
	e.hyp.must(e.hyp.nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	e.hyp.address("br0", e.bridge)
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Ports: []string{"red-*"}},
		{ID: "blue", NetNS: []string{prefix + "blue-*"}},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.following = follow(t, agent.Options{Tenants: set, Scope: agent.Scope{
		NetNS: []string{prefix + "*"}, Hypervisors: []string{prefix + "hyp"}, Netfilter: []string{agent.NoNetfilter},
		Addresses: []netip.Prefix{netip.PrefixFrom(e.bridge, 24)},
	}})
	return e
}

// address gives a device an address and sets it up.
func (p *place) address(device string, addr netip.Addr) {
	p.t.Helper()
	l := p.link(device)
	p.must(p.nl.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(24, 32)}}))
	p.must(p.nl.LinkSetUp(l))
}

// guest makes a guest of a tenant and has it ping the hypervisor at once. Red's have even
// addresses.
func (e *estate) guest(owner string) *netns.NS {
	e.t.Helper()
	e.made++
	number := 2 + 2*(e.made%100)
	if owner == "blue" {
		number++
	}
	raw := e.bridge.As4()
	raw[3] = byte(number)
	guest := inside(e.t, create(e.t, fmt.Sprintf("%s%s-%d", e.prefix, owner, e.made)))
	port := fmt.Sprintf("%s-%d", map[string]string{"red": "red", "blue": "p"}[owner], e.made)
	e.hyp.must(e.hyp.nl.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: port, MasterIndex: e.hyp.index("br0")},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(guest.FD()),
	}))
	e.hyp.must(e.hyp.nl.LinkSetUp(e.hyp.link(port)))
	guest.address("eth0", netip.AddrFrom4(raw))
	e.ping(guest.NS)
	return guest.NS
}

func (e *estate) ping(from *netns.NS) {
	e.t.Helper()
	r, err := pinger.Run(e.t.Context(), pinger.Config{NetNS: from, Target: e.bridge, Count: 3, Flood: true, Timeout: unhurried})
	if err != nil {
		e.t.Fatal(err)
	}
	if r.Lost() > 0 {
		e.t.Fatalf("%s: %d lost", from.Name(), r.Lost())
	}
}

// pinged waits for the traces of the three pings that something sends.
func (e *estate) pinged(by func()) {
	e.t.Helper()
	by()
	e.pings += 3
	e.until("traces", func(s agent.Status) bool { return int(s.Pings()) == e.pings })
}

// check checks every trace so far, and returns how many of each tenant there are.
func (e *estate) check() map[string]int {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	count := map[string]int{}
	for _, tr := range e.traces {
		count[e.checkTrace(tr)]++
	}
	return count
}

// checkTrace checks whose the trace is, and that what is a guest's belongs to its tenant or is
// nobody's and no tenant sees it.
func (e *estate) checkTrace(tr *trace.Trace) string {
	e.t.Helper()
	owner := "red"
	if src := tr.Ping.Src.As4(); src[3]%2 == 1 {
		owner = "blue"
	}
	for _, s := range tr.Spans {
		for _, d := range []*trace.Device{s.Device, s.Peer} {
			switch {
			case d == nil || d.Name == "br0" || d.Name == "lo":
			case d.Tenant == owner:
			case d.Tenant == "" && (d.Unattributed || !d.NetNS.Shared):
			default:
				e.t.Errorf("of %s's ping %v, %+v in %+v", owner, tr.Ping, d, d.NetNS)
			}
		}
		if ns := s.NetNS; ns.Inode != e.hyp.Inode() && (ns.Shared || ns.Tenant != "" && ns.Tenant != owner) {
			e.t.Errorf("of %s's ping %v, the span %v is in %+v", owner, tr.Ping, s.Kind, ns)
		}
	}
	if got := tr.Tenant(); got != owner {
		return got
	}
	return owner
}

// Guests ping as soon as they are there: each ping is its tenant's, or nobody's if the agent
// was too late to see whose it is, as it may be on a slow machine.
func TestTenantsOfNewGuests(t *testing.T) {
	e := newEstate(t)
	guest := func(owner string) { e.pinged(func() { e.guest(owner) }) }
	for range 6 {
		guest("red")
		guest("blue")
	}
	for got := e.check(); got["red"] == 0 || got["blue"] == 0; got = e.check() {
		if e.made > 60 {
			t.Fatalf("of all pings of %d guests: %v", e.made, got)
		}
		guest("red")
		guest("blue")
	}
	e.stop()
	if s := e.Status().Tenants; len(s.Conflicts) != 0 || s.Count != 2 {
		t.Errorf("%+v", s)
	}
}

// Guests ping and are gone at once, and the next, of another tenant, has their number: no ping
// is somebody else's, though it may be nobody's.
func TestTenantsOfShortLivedGuests(t *testing.T) {
	e := newEstate(t)
	for i := range 24 {
		ns := e.guest([]string{"red", "blue"}[i/2%2])
		if i%2 == 0 {
			remove(t, ns)
		}
	}
	e.until("traces", func(s agent.Status) bool { return s.Pings() == 72 })
	e.stop()
	t.Logf("pings of %v", e.check())
}

// rename renames a port. Before Linux 6.2 it must be down for that.
func (e *estate) rename(from, to string) {
	e.t.Helper()
	port := e.hyp.link(from)
	err := e.hyp.nl.LinkSetName(port, to)
	if errors.Is(err, unix.EBUSY) {
		e.hyp.must(e.hyp.nl.LinkSetDown(port))
		e.hyp.must(e.hyp.nl.LinkSetName(port, to))
		err = e.hyp.nl.LinkSetUp(port)
	}
	e.hyp.must(err)
}

// A port that is renamed is another tenant's: no ping is shown to the wrong one.
func TestTenantOfARenamedPort(t *testing.T) {
	e := newEstate(t)
	var red *netns.NS
	e.pinged(func() { red = e.guest("red") })
	for e.check()["red"] == 0 { // the agent may have been too late, as it may be on a slow machine
		e.pinged(func() { e.ping(red) })
	}
	for range 5 {
		before := e.check()["red"]
		e.rename("red-1", "nobody-1")
		e.pinged(func() { e.ping(red) })
		if got := e.check(); got["red"] != before || got[""] != e.pings-before {
			t.Fatalf("pings of %v, and before the port was renamed %d of red", got, before)
		}
		e.rename("nobody-1", "red-1") // nobody's for a while yet
		e.pinged(func() { e.ping(red) })
	}
	e.stop()
	if got := e.check(); got["red"]+got[""] != e.pings {
		t.Errorf("pings of %v", got)
	}
}
