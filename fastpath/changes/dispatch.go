// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Messages that the library has no names for.
const (
	rtmNewTunnel = 120
	rtmDelTunnel = 121
)

// route reads a message of rtnetlink.
func (w *watcher) route(m message) {
	switch m.kind {
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		w.neighbour(m)
	case unix.RTM_NEWLINK:
		w.links.set(w, m.body)
	case unix.RTM_DELLINK:
		w.links.deleted(w, m.body)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		w.others.address(w, m)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		w.news.add(All, nil, "routes have changed")
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		w.news.add(All|Rules, nil, "rules of routing have changed")
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP, unix.RTM_NEWNEXTHOPBUCKET, unix.RTM_DELNEXTHOPBUCKET:
		w.news.add(All, nil, "next hops have changed")
	case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF:
		w.others.setting(w, m)
	case unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTCLASS, unix.RTM_DELTCLASS,
		unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER, unix.RTM_NEWCHAIN, unix.RTM_DELCHAIN:
		w.about(m, "queues or filters of %s have changed")
	case unix.RTM_NEWACTION, unix.RTM_DELACTION:
		w.news.add(All|Devices, nil, "actions of filters have changed")
	case unix.RTM_NEWVLAN, unix.RTM_DELVLAN:
		w.about(m, "VLANs of %s have changed")
	case rtmNewTunnel, rtmDelTunnel:
		w.about(m, "networks of the tunnel %s have changed")
	case unix.RTM_NEWNSID, unix.RTM_DELNSID:
		w.news.add(Devices, nil, "another namespace has got or lost its number")
	case unix.NLMSG_DONE, unix.NLMSG_NOOP:
	default:
		w.news.add(Everything, nil, "the kernel announced something that is not known (%d)", m.kind)
	}
}

// about notes a change of the device whose index follows 4 bytes: struct tcmsg, br_vlan_msg and
// tunnel_msg are alike in that. The index of a block that several devices share is none.
func (w *watcher) about(m message, format string) {
	const indexAt, size = 4, 8
	if len(m.body) < size {
		w.misread()
		return
	}
	index := int(int32(binary.NativeEndian.Uint32(m.body[indexAt:])))
	if index <= 0 || uint32(index) == tcmIfindexMagicBlock {
		w.news.add(All|Devices, nil, format, "several devices")
		return
	}
	w.news.add(Some|Devices, []int{index}, format, w.name(index))
}

// tcmIfindexMagicBlock is in place of an index: TCM_IFINDEX_MAGIC_BLOCK.
const tcmIfindexMagicBlock = 0xffffffff

func (w *watcher) neighbour(m message) {
	e, ok := parseEntry(m.body)
	if !ok {
		w.misread()
		return
	}
	gone := m.kind == unix.RTM_DELNEIGH
	switch {
	case e.family == unix.AF_BRIDGE && gone:
		w.forwarding.deleted(w, &e)
	case e.family == unix.AF_BRIDGE:
		w.forwarding.set(w, &e)
	case e.family != unix.AF_INET && e.family != unix.AF_INET6:
	case gone:
		w.neighbours.deleted(w, &e)
	default:
		w.neighbours.set(w, &e)
	}
}

// misread notes a message that cannot be read.
func (w *watcher) misread() { w.news.add(Everything, nil, "a message of the kernel could not be read") }

// rules reads a message of nf_tables.
func (w *watcher) rules(message) { w.news.add(All|Rules, nil, "rules of nf_tables have changed") }

// transforms reads a message of XFRM.
func (w *watcher) transforms(message) {
	w.news.add(All, nil, "policies or states of IPsec have changed")
}
