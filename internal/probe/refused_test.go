// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
)

// What is behind the router: a narrow link to a host, prefixes of which it says that there is no
// way, and the address that it says so from.
var (
	behind4, host4 = netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("198.51.100.2/24")
	behind6, host6 = netip.MustParsePrefix("2001:db8:1::1/64"), netip.MustParsePrefix("2001:db8:1::2/64")
	nowhere4       = netip.MustParsePrefix("203.0.113.0/25")
	nowhere6       = netip.MustParsePrefix("2001:db8:2::/48")
	closed4        = netip.MustParsePrefix("203.0.113.128/25")
	closed6        = netip.MustParsePrefix("2001:db8:3::/48")
)

// routed makes a namespace with a default route to a router with such surroundings.
func routed(t *testing.T, suffix string) *netns.NS {
	t.Helper()
	near, router, host := netnstest.New(t, suffix), netnstest.WithLoopback(t, suffix+"r"), netnstest.New(t, suffix+"h")
	connect(t, near, router)
	link(t, router, host, "narrow")
	narrow(t, router, "narrow")
	narrow(t, host, "eth0")
	assign(t, router, "narrow", behind4, behind6)
	address(t, host, host4, host6)
	route(t, near, unix.RTN_UNICAST, far4.Addr(), netip.MustParsePrefix("0.0.0.0/0"))
	route(t, near, unix.RTN_UNICAST, far6.Addr(), netip.MustParsePrefix("::/0"))
	route(t, host, unix.RTN_UNICAST, behind4.Addr(), netip.MustParsePrefix("192.0.2.0/24"))
	route(t, host, unix.RTN_UNICAST, behind6.Addr(), netip.MustParsePrefix("2001:db8::/64"))
	for kind, all := range map[int][]netip.Prefix{unix.RTN_UNREACHABLE: {nowhere4, nowhere6}, unix.RTN_PROHIBIT: {closed4, closed6}} {
		for _, p := range all {
			route(t, router, kind, netip.Addr{}, p)
		}
	}
	sysctl(t, router, "net/ipv4/ip_forward", "1")
	sysctl(t, router, "net/ipv6/conf/all/forwarding", "1")
	return near
}

// on does something with a namespace's netlink.
func on(t *testing.T, ns *netns.NS, do func(*netlink.Handle) error) {
	t.Helper()
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	if err := do(nl); err != nil {
		t.Fatalf("%s: %v", ns.Name(), err)
	}
}

// narrow has a device take packets of at most 1280 bytes.
func narrow(t *testing.T, ns *netns.NS, name string) {
	t.Helper()
	on(t, ns, func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(name)
		if err != nil {
			return err
		}
		return nl.LinkSetMTU(l, 1280)
	})
}

// route adds a route of a kind, by way of an address if there is one.
func route(t *testing.T, ns *netns.NS, kind int, via netip.Addr, to netip.Prefix) {
	t.Helper()
	on(t, ns, func(nl *netlink.Handle) error {
		r := &netlink.Route{Type: kind, Dst: &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())}}
		if via.IsValid() {
			r.Gw = via.AsSlice()
		}
		return nl.RouteAdd(r)
	})
}

func sysctl(t *testing.T, ns *netns.NS, name, value string) {
	t.Helper()
	if err := ns.Do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) }); err != nil {
		t.Fatal(err)
	}
}

// What a router says of a ping ends it at once, as what the router says: the test would wait for
// longer than a test may take.
func TestICMPErrorsEndAPing(t *testing.T) {
	near := routed(t, "probe-said")
	once := func(to netip.Addr, size int) (Outcome, error) {
		t.Helper()
		p := ping{target: to, id: 7, seq: 9, payload: payload(size, time.Now()), timeout: patience}
		_, err := send(t.Context(), near, p)
		return outcome(t.Context(), err), err
	}
	for _, tc := range []struct {
		name string
		to   netip.Addr
		want Outcome
		says string
	}{
		{"unreachable", nowhere4.Addr().Next(), Unreachable, "host unreachable, says 192.0.2.2"},
		{"unreachable, IPv6", nowhere6.Addr().Next(), Unreachable, ", says 2001:db8::2"},
		{"prohibited", closed4.Addr().Next(), Unreachable, "administratively prohibited, says 192.0.2.2"},
		{"prohibited, IPv6", closed6.Addr().Next(), Unreachable, "administratively prohibited, says 2001:db8::2"},
		{"answered", host4.Addr(), Answered, ""},
		{"answered, IPv6", host6.Addr(), Answered, ""},
	} {
		if got, err := once(tc.to, MinSize); got != tc.want || err != nil && !strings.HasSuffix(err.Error(), tc.says) {
			t.Errorf("%s: %d, %v; want %d, %q", tc.name, got, err, tc.want, tc.says)
		}
	}
	for _, to := range []netip.Addr{host4.Addr(), host6.Addr()} {
		if got, err := once(to, 1400); got != TooBig || !strings.Contains(err.Error(), "an MTU of 1280 bytes") {
			t.Errorf("large, to %s: %d, %v", to, got, err)
		}
		if got, err := once(to, 1400); got != Answered { // in fragments, because the kernel has learnt
			t.Errorf("large again, to %s: %d, %v", to, got, err)
		}
	}
	sysctl(t, near, "net/ipv4/ip_default_ttl", "1")
	sysctl(t, near, "net/ipv6/conf/eth0/hop_limit", "1")
	for _, to := range []netip.Addr{host4.Addr(), host6.Addr()} {
		if got, err := once(to, MinSize); got != Expired {
			t.Errorf("one hop, to %s: %d, %v", to, got, err)
		}
	}
}

// A prober notes what was said, and by whom; a good reply clears it.
func TestICMPErrorsAreNoted(t *testing.T) {
	near := routed(t, "probe-noted")
	p := toFar(near)
	p.Targets, p.Interval, p.Timeout = []netip.Addr{nowhere4.Addr().Next(), nowhere6.Addr().Next(), host4.Addr()}, time.Second, time.Second
	l := liveProber(t, p)
	for _, to := range p.Targets[:2] {
		l.await(Unreachable, to)
	}
	l.await(Answered, host4.Addr())
	for _, s := range l.Stats().States {
		up := s.Target == host4.Addr()
		if (s.Why == "") != up || s.Answered.IsZero() == up || (s.RTT > 0) != up || s.Ended.IsZero() || s.Next.Before(s.Ended.Add(-p.Interval)) {
			t.Errorf("%s: %+v", s.Target, s)
		}
	}
	if problems := l.Stats().Problems; len(problems) > 0 {
		t.Errorf("what was sent is logged as if it was not: %q", problems)
	}
}

// An error that does not quote what was sent may be from anybody who can guess numbers.
func TestForgedErrorsDoNotCount(t *testing.T) {
	ns := netnstest.WithLoopback(t, "probe-forgederr")
	ignoreEchoes(t, ns)
	p := ping{target: netip.MustParseAddr("127.0.0.1"), id: 7, seq: 9, payload: payload(MinSize, time.Now()), timeout: 300 * time.Millisecond}
	refused := func(with ping) Outcome {
		stop := forgeMessage(t, ns, with.target, &icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 1, Body: &icmp.DstUnreach{Data: quote(t, with)}})
		defer stop()
		_, err := send(t.Context(), ns, p)
		return outcome(t.Context(), err)
	}
	other := p
	other.payload = payload(MinSize, time.Now())
	copy(other.payload, p.payload[:28]) // all but the random number
	if got := refused(other); got != Lost {
		t.Errorf("another payload: %d", got)
	}
	other = p
	other.seq++
	if got := refused(other); got != Lost {
		t.Errorf("another number: %d", got)
	}
	p.timeout = patience
	if got := refused(p); got != Unreachable {
		t.Errorf("the same: %d", got)
	}
}

// quote makes the packet of a ping.
func quote(t *testing.T, p ping) []byte {
	t.Helper()
	m, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(p.id), Seq: int(p.seq), Data: p.payload}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := ipv4.Header{Version: 4, Len: ipv4.HeaderLen, TotalLen: ipv4.HeaderLen + len(m), TTL: 64, Protocol: 1, Src: p.target.AsSlice(), Dst: p.target.AsSlice()}
	b, err := h.Marshal()
	if err != nil {
		t.Fatal(fmt.Errorf("header: %w", err))
	}
	return append(b, m...)
}
