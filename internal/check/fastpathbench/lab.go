// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// The devices of each lab; see modes.go for who has them.
const (
	guestDevice  = "eth0"
	portDevice   = "tap-red"
	bridgeDevice = "br-red"
	uplinkDevice = "uplink"
	tunnelDevice = "vxlan0"
)

// tunnelPort is the UDP port that IANA gave to VXLAN.
const tunnelPort = 4789

// lab is a guest, a hypervisor and an outside, each in a namespace of its own. Without a hypervisor,
// the guest's device and the outside's are one pair.
type lab struct {
	mode
	names                      []string
	guest, hypervisor, outside *netns.NS
	// next is the hardware address to which the guest sends, own is the guest's.
	next, own net.HardwareAddr
	// other is another tenant's guest on the same hypervisor, or nil: see addOther.
	other *netns.NS
}

func newLab(ctx context.Context, name string, m mode) (l *lab, err error) {
	l = &lab{mode: m}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("lab for mode %s: %w", m.name, err), l.down())
			l = nil
		}
	}()
	for _, part := range []struct {
		suffix string
		ns     **netns.NS
	}{{"g", &l.guest}, {"h", &l.hypervisor}, {"o", &l.outside}} {
		if part.suffix == "h" && m.direct {
			continue
		}
		full := fmt.Sprintf("%s-%s", name, part.suffix)
		if *part.ns, err = netns.Create(full); err != nil {
			return l, err
		}
		l.names = append(l.names, full)
	}
	for _, step := range []func() error{l.quiet, func() error { return l.devices(ctx) }, l.addresses, l.routes, l.settings} {
		if err := step(); err != nil {
			return l, err
		}
	}
	if !m.masquerade {
		return l, nil
	}
	if err := l.restore(ctx, "*nat\n-A POSTROUTING -o "+uplinkDevice+" -j MASQUERADE\nCOMMIT\n"); err != nil {
		return l, err
	}
	// The pings of many flows are remembered for as long as they are all measured.
	return l, sysctl(l.hypervisor, map[string]string{"netfilter/nf_conntrack_icmp_timeout": "600"})
}

// down removes the namespaces and all that is in them.
func (l *lab) down() error {
	var errs []error
	for _, ns := range l.spaces() {
		errs = append(errs, ns.Close())
	}
	for _, name := range l.names {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}

func (l *lab) spaces() (all []*netns.NS) {
	for _, ns := range []*netns.NS{l.guest, l.hypervisor, l.outside, l.other} {
		if ns != nil {
			all = append(all, ns)
		}
	}
	return all
}

// devices makes the pairs, and connects the hypervisor's ends.
func (l *lab) devices(ctx context.Context) error {
	if l.direct {
		return pair(l.guest, guestDevice, l.outside)
	}
	if err := errors.Join(pair(l.hypervisor, portDevice, l.guest), pair(l.hypervisor, uplinkDevice, l.outside)); err != nil {
		return err
	}
	ports := []string{portDevice}
	if l.switched {
		ports = append(ports, uplinkDevice)
	}
	if l.tunnelled {
		ports = append(ports, tunnelDevice)
		ends := [2]string{uplinkAddr, outsideAddr}
		if err := errors.Join(tunnel(ctx, l.hypervisor, uplinkDevice, ends[0], ends[1]), tunnel(ctx, l.outside, guestDevice, ends[1], ends[0])); err != nil {
			return err
		}
	}
	return bridged(l.hypervisor, bridgeDevice, ports...)
}

// pair makes a pair of devices, of which the other end is a guest's.
func pair(from *netns.NS, name string, to *netns.NS) error {
	v := &netlink.Veth{LinkAttrs: named(name), PeerName: guestDevice, PeerNamespace: netlink.NsFd(to.FD())}
	return with(from, func(h *netlink.Handle) error { return h.LinkAdd(v) })
}

// bridged makes a bridge of the ports.
func bridged(ns *netns.NS, name string, ports ...string) error {
	return with(ns, func(h *netlink.Handle) error {
		snooping := false
		if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: named(name), MulticastSnooping: &snooping}); err != nil {
			return err
		}
		bridge, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		for _, name := range ports {
			port, err := h.LinkByName(name)
			if err != nil {
				return err
			}
			if err := h.LinkSetMaster(port, bridge); err != nil {
				return err
			}
		}
		return nil
	})
}

func named(name string) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return attrs
}

// tunnel makes one end. It has no outer checksums, which the library cannot say.
func tunnel(ctx context.Context, ns *netns.NS, over, local, remote string) error {
	cmd := exec.CommandContext(ctx, "ip", "link", "add", tunnelDevice, "type", "vxlan", "id", "42", "dev", over,
		"local", local, "remote", remote, "dstport", strconv.Itoa(tunnelPort), "noudpcsum")
	var out []byte
	if err := ns.Do(func() (err error) { out, err = cmd.CombinedOutput(); return err }); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd, err, bytes.TrimSpace(out))
	}
	return nil
}

// addresses brings all devices up, and notes the hardware addresses that are needed.
func (l *lab) addresses() error {
	for _, d := range l.mode.devices() {
		mac, err := up(d.in(l), d)
		if err != nil {
			return err
		}
		switch {
		case d.next:
			l.next = mac
		case d.own:
			l.own = mac
		}
	}
	return nil
}

// up brings a device up, and returns its hardware address.
func up(ns *netns.NS, d device) (mac net.HardwareAddr, err error) {
	err = with(ns, func(h *netlink.Handle) error {
		link, err := h.LinkByName(d.name)
		if err != nil {
			return err
		}
		if d.addr != "" {
			a, err := netlink.ParseAddr(d.addr)
			if err != nil {
				return err
			}
			if err := h.AddrAdd(link, a); err != nil {
				return err
			}
		}
		if d.mtu != 0 {
			if err := h.LinkSetMTU(link, d.mtu); err != nil {
				return err
			}
		}
		mac = link.Attrs().HardwareAddr
		return h.LinkSetUp(link)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return mac, nil
}

func with(ns *netns.NS, do func(*netlink.Handle) error) error {
	h, err := ns.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	return do(h)
}

// quiet lets nobody mind a packet's source, and nobody send packets of its own.
func (l *lab) quiet() error {
	for _, ns := range l.spaces() {
		if err := silence(ns); err != nil {
			return err
		}
	}
	return nil
}

func silence(ns *netns.NS) error {
	return sysctl(ns, map[string]string{
		"ipv6/conf/all/disable_ipv6": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0",
	})
}

// settings lets the hypervisor forward.
func (l *lab) settings() error {
	if l.hypervisor == nil {
		return nil
	}
	return sysctl(l.hypervisor, map[string]string{
		"ipv4/ip_forward": "1", "ipv4/conf/all/send_redirects": "0",
	})
}

func sysctl(ns *netns.NS, values map[string]string) error {
	return ns.Do(func() error {
		for name, value := range values {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxSegments is how many segments the kernel lets a device cut out of one packet, if nobody says otherwise.
const maxSegments = 65535

// maxSegments bounds how many segments TCP has the guest's device cut out of one packet. It is for connections that
// begin afterwards.
func (l *lab) maxSegments(n int) error {
	return with(l.guest, func(h *netlink.Handle) error {
		link, err := h.LinkByName(guestDevice)
		if err != nil {
			return err
		}
		return h.LinkSetGSOMaxSegs(link, n)
	})
}

// routes leads the guest's packets out, and back.
func (l *lab) routes() error {
	if err := route(l.outside, many, "", "lo", unix.RTN_LOCAL); err != nil {
		return err
	}
	if l.direct || l.switched || l.tunnelled {
		return route(l.guest, "0.0.0.0/0", peerAddr, guestDevice, unix.RTN_UNICAST)
	}
	errs := []error{
		route(l.guest, "0.0.0.0/0", bridgeAddr, guestDevice, unix.RTN_UNICAST),
		route(l.hypervisor, "0.0.0.0/0", outsideAddr, uplinkDevice, unix.RTN_UNICAST),
	}
	if !l.masquerade {
		errs = append(errs, route(l.outside, "0.0.0.0/0", uplinkAddr, guestDevice, unix.RTN_UNICAST))
	}
	return errors.Join(errs...)
}

func route(ns *netns.NS, to, via, device string, kind int) error {
	prefix := netip.MustParsePrefix(to)
	return with(ns, func(h *netlink.Handle) error {
		link, err := h.LinkByName(device)
		if err != nil {
			return err
		}
		r := &netlink.Route{LinkIndex: link.Attrs().Index, Type: kind, Dst: &net.IPNet{
			IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32),
		}}
		if via != "" {
			r.Gw = net.ParseIP(via)
		}
		if kind == unix.RTN_LOCAL {
			r.Table, r.Scope = unix.RT_TABLE_LOCAL, netlink.SCOPE_HOST
		}
		if err := h.RouteReplace(r); err != nil {
			return fmt.Errorf("route to %s in %s: %w", to, ns.Name(), err)
		}
		return nil
	})
}

// restore gives a text to iptables-restore on the hypervisor.
func (l *lab) restore(ctx context.Context, text string) error {
	const program = "iptables-legacy-restore"
	cmd := exec.CommandContext(ctx, program, "--noflush")
	cmd.Stdin = strings.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := l.hypervisor.Do(cmd.Run); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// rules puts so many rules into FORWARD of which none matches.
func (l *lab) rules(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("*filter\n")
	for i := range n {
		fmt.Fprintf(&text, "-A FORWARD -s 198.19.%d.%d -j DROP\n", i>>8, i&0xff)
	}
	text.WriteString("COMMIT\n")
	return l.restore(ctx, text.String())
}
