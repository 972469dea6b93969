// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"cmp"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
)

// path writes a journey as the spans that tile it, with the namespaces in which they
// begin, and what is finer than a forward or a delivery left out:
//
//	[a] transmit eth0 | link eth0 -> va [r] forward | transmit vb | link vb -> eth0 [b] deliver
func (w *world) path(journey *span) string {
	var b strings.Builder
	at := ""
	for _, s := range journey.steps(nil) {
		switch role := w.role(s); {
		case role != at:
			if at != "" {
				b.WriteString(" ")
			}
			b.WriteString("[" + role + "] ")
			at = role
		default:
			b.WriteString(" | ")
		}
		b.WriteString(s.name)
	}
	return b.String()
}

// steps returns the spans of a journey, device and hypervisor replaced by what is in them.
func (s *span) steps(to []*span) []*span {
	for _, c := range s.children {
		if k := c.kind(); k == "device" || k == "hypervisor" {
			to = c.steps(to)
			continue
		}
		to = append(to, c)
	}
	return to
}

// role returns the role of the namespace in which a span begins.
func (w *world) role(s *span) string { return strings.TrimPrefix(s.netns, w.prefix) }

// end is a device in a namespace.
type end struct{ netns, device string }

// peers returns the pairs of devices whose other end the kernel names, both ways. It is
// asked before the road is torn down. A loopback device is its own other end.
func (w *world) peers() (map[[2]end]bool, error) {
	byPlace, pairs := map[string]end{}, map[[2]end]bool{}
	type half struct {
		from  end
		place string
	}
	var halves []half
	for _, s := range w.spaces {
		ids := map[int]*space{-1: s}
		for _, other := range w.spaces {
			if id, err := s.nl.GetNetNsIdByFd(other.FD()); err == nil && id >= 0 {
				ids[id] = other
			}
		}
		links, err := s.nl.LinkList()
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			e := end{s.Name(), l.Attrs().Name}
			byPlace[placeOf(s, l.Attrs().Index)] = e
			if l.Type() == "device" && l.Attrs().Flags&net.FlagLoopback != 0 {
				pairs[[2]end{e, e}] = true
			}
			if other := ids[l.Attrs().NetNsID]; other != nil && paired(l) {
				halves = append(halves, half{e, placeOf(other, l.Attrs().ParentIndex)})
			}
		}
	}
	for _, h := range halves {
		if other, ok := byPlace[h.place]; ok {
			pairs[[2]end{h.from, other}] = true
		}
	}
	return pairs, nil
}

func placeOf(s *space, index int) string { return fmt.Sprintf("%d/%d", s.Inode(), index) }

func paired(l netlink.Link) bool { return l.Type() == "veth" || l.Type() == "netkit" }

// checkLinks finds links between devices that are not peers.
func checkLinks(t *tree, pairs map[[2]end]bool) {
	for _, root := range t.roots {
		leaves := root.leaves(nil)
		for i, l := range leaves {
			if l.kind() != "link" || i+1 == len(leaves) {
				continue
			}
			from := end{l.netns, l.attrs["network.interface.name"]}
			to := end{leaves[i+1].netns, cmp.Or(l.attrs["dwell.peer.interface.name"], from.device)}
			if !pairs[[2]end{from, to}] {
				t.fault(l.name, "is not a link: its ends are not peers")
			}
		}
	}
}
