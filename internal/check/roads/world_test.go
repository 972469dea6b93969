// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// world is what one road is built of: network namespaces of its own, and what keeps its
// user-space parts alive. Its methods panic with a setupError, which build returns.
type world struct {
	prefix   string
	spaces   map[string]*space
	names    []string
	cleanups []func()
	// ctx ends when the road is torn down.
	ctx context.Context //nolint:containedctx // the parts of a world end with it
}

// space is one network namespace of a road.
type space struct {
	*netns.NS
	nl   *netlink.Handle
	role string
}

// setupError is why a road could not be built.
type setupError struct{ error }

func (e setupError) Unwrap() error { return e.error }

// absent reports whether the error says that the kernel lacks what the road needs.
func absent(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPFNOSUPPORT) ||
		errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOENT) ||
		errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOSYS)
}

// build makes a road's world. If it fails, what there is must still be torn down.
func build(ctx context.Context, name string, setup func(*world)) (w *world, err error) {
	ctx, cancel := context.WithCancel(ctx)
	w = &world{prefix: fmt.Sprintf("rd%d.%s.", os.Getpid(), name), spaces: map[string]*space{}, ctx: ctx}
	w.cleanups = append(w.cleanups, cancel)
	defer func() {
		if r := recover(); r != nil {
			e, ours := r.(setupError)
			if !ours {
				panic(r)
			}
			err = e.error
		}
	}()
	setup(w)
	return w, nil
}

// down removes everything.
func (w *world) down() error {
	for _, f := range slices.Backward(w.cleanups) {
		f()
	}
	var errs []error
	for _, s := range w.spaces {
		s.nl.Close()
		errs = append(errs, netns.Delete(s.Name()), s.Close())
	}
	return errors.Join(errs...)
}

func (w *world) must(err error, what ...any) {
	if err != nil {
		panic(setupError{fmt.Errorf("%s: %w", strings.TrimSuffix(fmt.Sprintln(what...), "\n"), err)})
	}
}

// ns makes namespaces that send no packets of their own.
func (w *world) ns(roles ...string) {
	for _, role := range roles {
		ns, err := netns.Create(w.prefix + role)
		w.must(err, "namespace", role)
		s := &space{NS: ns, role: role}
		s.nl, err = ns.Netlink()
		w.must(err, "netlink in", role)
		w.spaces[role] = s
		w.names = append(w.names, role)
		for path, value := range map[string]string{
			"ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0",
			"ipv6/conf/all/disable_ipv6": "0", "ipv6/conf/default/disable_ipv6": "0",
			"ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/accept_ra": "0",
			"ipv6/conf/default/router_solicitations": "0",
		} {
			w.sysctl(role, path, value)
		}
		w.up(role, "lo")
	}
}

// sysctl writes a file below /proc/sys/net.
func (w *world) sysctl(role, path, value string) {
	w.must(w.at(role).Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", path), []byte(value), 0)
	}), "sysctl", path)
}

// forward makes namespaces routers.
func (w *world) forward(roles ...string) {
	for _, role := range roles {
		w.sysctl(role, "ipv4/conf/all/forwarding", "1")
		w.sysctl(role, "ipv6/conf/all/forwarding", "1")
	}
}

func (w *world) at(role string) *space {
	s := w.spaces[role]
	if s == nil {
		w.must(fs.ErrInvalid, "there is no namespace", role)
	}
	return s
}

// link adds a device and brings it up.
func (w *world) link(role string, l netlink.Link) netlink.Link {
	w.must(w.at(role).nl.LinkAdd(l), "adding the", l.Type(), l.Attrs().Name)
	w.up(role, l.Attrs().Name)
	return w.dev(role, l.Attrs().Name)
}

func (w *world) dev(role, name string) netlink.Link {
	l, err := w.at(role).nl.LinkByName(name)
	w.must(err, role, name)
	return l
}

func (w *world) index(role, name string) int { return w.dev(role, name).Attrs().Index }

func (w *world) mac(role, name string) net.HardwareAddr {
	return w.dev(role, name).Attrs().HardwareAddr
}

func (w *world) up(role string, names ...string) {
	for _, name := range names {
		w.must(w.at(role).nl.LinkSetUp(w.dev(role, name)), "bringing up", name)
	}
}

// veth makes a pair of devices, one in each namespace.
func (w *world) veth(a, aDev, b, bDev string) {
	w.must(w.at(a).nl.LinkAdd(&netlink.Veth{
		LinkAttrs: named(aDev), PeerName: bDev, PeerNamespace: netlink.NsFd(w.at(b).FD()),
	}), "veth", aDev, bDev)
	w.up(a, aDev)
	w.up(b, bDev)
}

// move moves a device to another namespace and brings it up there.
func (w *world) move(role, name, to string) {
	w.must(w.at(role).nl.LinkSetNsFd(w.dev(role, name), w.at(to).FD()), "moving", name)
	w.up(to, name)
}

// bridge makes a bridge of the devices.
func (w *world) bridge(role, name string, ports ...string) {
	snooping := false
	w.link(role, &netlink.Bridge{LinkAttrs: named(name), MulticastSnooping: &snooping})
	w.enslave(role, name, ports...)
}

func (w *world) enslave(role, master string, ports ...string) {
	for _, p := range ports {
		w.must(w.at(role).nl.LinkSetMaster(w.dev(role, p), w.dev(role, master)), p, "into", master)
	}
}

// addr gives a device addresses.
func (w *world) addr(role, device string, cidrs ...string) {
	for _, c := range cidrs {
		p := netip.MustParsePrefix(c)
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if p.Addr().Is4() && p.Bits() < 31 {
			a.Broadcast = broadcast(p)
		}
		w.must(w.at(role).nl.AddrAdd(w.dev(role, device), a), "address", c)
	}
}

// route adds a route by a gateway, or by a device if via has no dot or colon.
func (w *world) route(role, to, via string) {
	r := &netlink.Route{Dst: ipNet(prefixOf(to))}
	if a, err := netip.ParseAddr(via); err == nil {
		r.Gw = a.AsSlice()
	} else {
		r.LinkIndex = w.index(role, via)
	}
	w.routeAdd(role, r)
}

// gateway returns a route, to be added to before it is made.
func (*world) gateway(to, via string) *netlink.Route {
	return &netlink.Route{Dst: ipNet(prefixOf(to)), Gw: ip(via)}
}

func (w *world) routeAdd(role string, r *netlink.Route) {
	w.must(w.at(role).nl.RouteAdd(r), "route", r)
}

// neighbour gives an address a hardware address for good.
func (w *world) neighbour(role, device, addr string, mac net.HardwareAddr) {
	w.must(w.at(role).nl.NeighSet(&netlink.Neigh{
		LinkIndex: w.index(role, device), IP: net.ParseIP(addr), HardwareAddr: mac, State: netlink.NUD_PERMANENT,
	}), "neighbour", addr)
}

// warmTimeout is how long a road may take to let the first ping through.
const warmTimeout = 90 * time.Second

// warm pings until a reply comes, so that neighbours and tables are filled.
func (w *world) warm(role string, targets ...string) {
	ctx, cancel := context.WithTimeout(w.ctx, warmTimeout)
	defer cancel()
	for _, target := range targets {
		for {
			r, err := pinger.Run(ctx, pinger.Config{
				NetNS: w.at(role).NS, Target: netip.MustParseAddr(target), Count: 1, Timeout: 250 * time.Millisecond,
			})
			w.must(err, "ping", target)
			if r.Received() > 0 {
				break
			}
			w.must(ctx.Err(), "no reply from", target)
		}
	}
}

// goroutine runs a user-space part of the road until it is torn down; stop must make fn end.
func (w *world) goroutine(fn func(), stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	w.cleanups = append(w.cleanups, func() {
		stop()
		<-done
	})
}

func named(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

// on returns the attributes of a device that is stacked on another.
func (w *world) on(role, parent, name string) netlink.LinkAttrs {
	a := named(name)
	a.ParentIndex = w.index(role, parent)
	return a
}

func ip(s string) net.IP { return netip.MustParseAddr(s).AsSlice() }

func prefixOf(s string) netip.Prefix {
	switch s {
	case "default":
		s = "0.0.0.0/0"
	case "default6":
		s = "::/0"
	}
	if !strings.Contains(s, "/") {
		a := netip.MustParseAddr(s)
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.MustParsePrefix(s)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func broadcast(p netip.Prefix) net.IP {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return b[:]
}
