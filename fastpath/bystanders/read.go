// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// attempts is how often a listing is made that the kernel says was interrupted by a change.
const attempts = 10

// Read reads devices. That there is something in the way is not an error.
func Read(ctx context.Context, o Options) (*Facts, error) {
	var s *snapshot
	err := netns.In(o.NetNS, func() (err error) {
		s, err = read(ctx, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is between tenants' ports and NICs: %w", err)
	}
	return s.judge(o.Host, o.NICs), nil
}

// read reads the namespace of the calling thread.
func read(ctx context.Context, o Options) (*snapshot, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	defer h.Close()
	s := &snapshot{devices: map[int]*device{}}
	links, err := again(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	for _, l := range links {
		s.devices[l.Attrs().Index] = deviceOf(l)
	}
	if err := s.readInherits(); err != nil {
		return nil, fmt.Errorf("reading tunnels: %w", err)
	}
	if err := s.readQueues(h); err != nil {
		return nil, err
	}
	if err := s.readDefaults(h); err != nil {
		return nil, err
	}
	if err := s.readHooks(); err != nil {
		return nil, fmt.Errorf("listing what of nf_tables is at devices: %w", err)
	}
	for _, d := range s.devices {
		if err := d.readPrograms(o.Ours); err != nil {
			return nil, fmt.Errorf("listing programs at %s: %w", d.name, err)
		}
		s.readUnderlay(h, d)
	}
	if s.bridged, err = bridgeRules(); err != nil {
		return nil, fmt.Errorf("reading rules of ebtables: %w", err)
	}
	return s, s.readPeers(ctx, h, o)
}

// again lists until nothing has changed in between.
func again[T any](list func() ([]T, error)) (got []T, err error) {
	for range attempts {
		if got, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return got, err
		}
	}
	return got, err
}

func deviceOf(l netlink.Link) *device {
	a := l.Attrs()
	d := &device{
		index: a.Index, name: a.Name, kind: l.Type(), master: a.MasterIndex,
		ethernet: a.EncapType == "ether", loopback: a.EncapType == "loopback", peerNS: here,
	}
	switch l := l.(type) {
	case *netlink.Veth:
		d.peer, d.peerNS = a.ParentIndex, a.NetNsID
	case *netlink.Bridge:
		if l.AgeingTime != nil {
			d.ageing = int(*l.AgeingTime)
		}
	case *netlink.Tuntap:
		if !d.ethernet {
			d.kind = "tun"
		}
	case *netlink.Vxlan:
		d.remote, d.underlay, d.udp = address(l.Group), l.VtepDevIndex, uint16(l.Port)
	case *netlink.Geneve:
		d.remote = address(l.Remote)
	case *netlink.Gretap:
		d.remote = address(l.Remote)
	case *netlink.Gretun:
		d.remote = address(l.Remote)
	case *netlink.Iptun:
		d.remote = address(l.Remote)
	case *netlink.Ip6tnl:
		d.remote = address(l.Remote)
	case *netlink.Sittun:
		d.remote = address(l.Remote)
	}
	if d.kind != kindVeth && a.NetNsID < 0 && a.ParentIndex != a.Index {
		d.below = a.ParentIndex
	}
	if x := a.Xdp; x != nil && x.Attached {
		d.xdp = fmt.Sprintf("a program at XDP (number %d)", x.ProgId)
	}
	return d
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// readQueues reads the queueing disciplines of all devices.
func (s *snapshot) readQueues(h *netlink.Handle) error {
	qdiscs, err := again(func() ([]netlink.Qdisc, error) { return h.QdiscList(nil) })
	if err != nil {
		return fmt.Errorf("listing queueing disciplines: %w", err)
	}
	for _, q := range qdiscs {
		d := s.devices[q.Attrs().LinkIndex]
		if d == nil {
			continue
		}
		switch kind := q.Type(); kind {
		case "clsact", "ingress":
			found, err := filters(d.index, kind)
			if err != nil {
				return fmt.Errorf("listing filters of %s: %w", d.name, err)
			}
			d.foreign = append(d.foreign, found...)
		default:
			d.queues = append(d.queues, kind)
		}
	}
	return nil
}

// readDefaults reads the devices of default routes.
func (s *snapshot) readDefaults(h *netlink.Handle) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC} // of all tables
		routes, err := again(func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return fmt.Errorf("listing routes: %w", err)
		}
		for _, r := range routes {
			if r.Type != unix.RTN_UNICAST || r.Dst != nil && !r.Dst.IP.IsUnspecified() {
				continue
			}
			if r.Dst != nil {
				if ones, _ := r.Dst.Mask.Size(); ones > 0 {
					continue
				}
			}
			s.defaults = append(s.defaults, r.LinkIndex)
			for _, hop := range r.MultiPath {
				s.defaults = append(s.defaults, hop.LinkIndex)
			}
		}
	}
	return nil
}

// readUnderlay finds out by which device a tunnel's packets leave.
func (s *snapshot) readUnderlay(h *netlink.Handle, d *device) {
	if d.underlay != 0 || !d.tunnel() || !d.remote.IsValid() || d.remote.IsUnspecified() || d.remote.IsMulticast() {
		return
	}
	routes, err := h.RouteGet(d.remote.AsSlice())
	if err == nil && len(routes) > 0 && routes[0].LinkIndex != d.index {
		d.underlay = routes[0].LinkIndex
	}
}
