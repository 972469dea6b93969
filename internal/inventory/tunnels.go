// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

// Tunnel is what a UDP port carries, by a device that sends to it or takes what arrives
// there.
type Tunnel uint8

// What a port may carry.
const (
	VXLAN Tunnel = 1 + iota
	Geneve
	FOUIP  // IPv4 or IPv6 directly in UDP
	FOUGRE // GRE directly in UDP
	GUE    // generic UDP encapsulation
)

// The kernel's enum tunnel_encap_types, include/uapi/linux/if_tunnel.h.
const (
	encapFOU = 1
	encapGUE = 2
)

// Tunnels returns what each UDP port carries to which a device of any namespace belongs, as
// of the namespaces' last scans. FOU and GUE are known of the devices that use them, not of
// the ports that "ip fou" opens.
func (v *Inventory) Tunnels() map[uint16]Tunnel {
	v.mu.RLock()
	spaces := slices.Collect(maps.Values(v.spaces))
	v.mu.RUnlock()
	all := map[uint16]Tunnel{}
	for _, s := range spaces {
		maps.Copy(all, s.snapshot.Load().tunnels)
	}
	return all
}

// LookAround scans the namespaces whose last scan is too old, those that were scanned the
// longest time ago first, until budget has passed. What is left is for the next call.
func (v *Inventory) LookAround(budget time.Duration) {
	begin := v.cfg.Now()
	var old []*space
	for inode := range v.finder.titles() {
		if s := v.space(inode); begin.Sub(s.snapshot.Load().looked) >= v.cfg.MaxAge {
			old = append(old, s)
		}
	}
	oldestFirst(old)
	for _, s := range old {
		if v.cfg.Now().Sub(begin) >= budget {
			return
		}
		v.await(s, refresh)
	}
}

// oldestFirst sorts namespaces by when they were looked at.
func oldestFirst(spaces []*space) {
	slices.SortFunc(spaces, func(a, b *space) int {
		return a.snapshot.Load().looked.Compare(b.snapshot.Load().looked)
	})
}

// tunnelsOf returns what the devices of a namespace say about UDP ports.
func tunnelsOf(links []netlink.Link) map[uint16]Tunnel {
	tunnels := map[uint16]Tunnel{}
	add := func(t Tunnel, ports ...uint16) {
		for _, port := range ports {
			if port != 0 && t != 0 {
				tunnels[port] = t
			}
		}
	}
	for _, link := range links {
		switch l := link.(type) {
		case *netlink.Vxlan:
			add(VXLAN, uint16(l.Port))
		case *netlink.Geneve:
			add(Geneve, l.Dport)
		case *netlink.Iptun:
			add(encapsulated(l.EncapType, FOUIP), l.EncapSport, l.EncapDport)
		case *netlink.Sittun:
			add(encapsulated(l.EncapType, FOUIP), l.EncapSport, l.EncapDport)
		case *netlink.Ip6tnl:
			add(encapsulated(l.EncapType, FOUIP), l.EncapSport, l.EncapDport)
		case *netlink.Gretun:
			add(encapsulated(l.EncapType, FOUGRE), l.EncapSport, l.EncapDport)
		case *netlink.Gretap:
			add(encapsulated(l.EncapType, FOUGRE), l.EncapSport, l.EncapDport)
		}
	}
	return tunnels
}

// encapsulated returns what a device of the given encapsulation sends in UDP, 0 if it does
// not; direct is what it sends without a header of its own.
func encapsulated(encap uint16, direct Tunnel) Tunnel {
	switch encap {
	case encapFOU:
		return direct
	case encapGUE:
		return GUE
	}
	return 0
}
