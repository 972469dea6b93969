// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

var _ correlate.Resolver = (*Listing)(nil)

// names numbers what a listing names: the devices of each namespace, from 1 in order
// of appearance, and the drop reasons.
type names struct {
	hypervisors []uint32
	spaces      map[uint32]*space
	reasons     []string
}

// space is a network namespace.
type space struct {
	netns   *trace.NetNS
	devices []*trace.Device
	flags   []event.Flags
}

func newNames(lines []Line, opts Options) names {
	n := names{hypervisors: opts.Hypervisors, spaces: map[uint32]*space{}}
	if len(n.hypervisors) == 0 {
		n.hypervisors = []uint32{PaperHost}
	}
	interfaces := map[uint32][]string{}
	for _, l := range lines {
		if l.Interface != "" && !slices.Contains(interfaces[l.NetNS], l.Interface) {
			interfaces[l.NetNS] = append(interfaces[l.NetNS], l.Interface)
		}
		if l.Reason != "" && !slices.Contains(n.reasons, l.Reason) {
			n.reasons = append(n.reasons, l.Reason)
		}
	}
	for _, l := range lines {
		if n.spaces[l.NetNS] == nil {
			n.spaces[l.NetNS] = n.newSpace(l, interfaces[l.NetNS])
		}
	}
	return n
}

// newSpace describes the namespace of a line, which has the given interfaces.
func (n *names) newSpace(l Line, interfaces []string) *space {
	s := &space{netns: n.unknown(l.NetNS)}
	if l.Name != "" {
		s.netns.Name = l.Name
	}
	for i, name := range interfaces {
		flags, bridge := flagsOf(name, interfaces)
		s.devices = append(s.devices, &trace.Device{NetNS: s.netns, Index: uint32(i + 1), Name: name, Bridge: bridge, Type: typeOf(name)})
		s.flags = append(s.flags, flags)
	}
	return s
}

// typeOf returns the type of device that the paper calls by such a name, or "".
func typeOf(name string) string {
	if strings.HasPrefix(name, "vxlan") {
		return "vxlan"
	}
	return ""
}

// unknown describes a namespace of which only the number is known.
func (n *names) unknown(inode uint32) *trace.NetNS {
	ns := correlate.Numbers{}.NetNS(inode)
	ns.Hypervisor = slices.Contains(n.hypervisors, inode)
	if inode == PaperHost {
		ns.Name = "host"
	}
	return ns
}

// device returns the index and the flags of a device that stands in the listing.
func (n *names) device(l Line) (uint32, event.Flags) {
	s := n.spaces[l.NetNS]
	i := slices.IndexFunc(s.devices, func(d *trace.Device) bool { return d.Name == l.Interface })
	if i < 0 {
		return 0, 0
	}
	return uint32(i + 1), s.flags[i]
}

// reason returns the number of a drop reason, from 1, or 0 for none.
func (n *names) reason(name string) uint32 { return uint32(slices.Index(n.reasons, name) + 1) }

// NetNS implements [correlate.Resolver].
func (n *names) NetNS(inode uint32) *trace.NetNS {
	if s := n.spaces[inode]; s != nil {
		return s.netns
	}
	return n.unknown(inode)
}

// Device implements [correlate.Resolver].
func (n *names) Device(inode, ifindex uint32) *trace.Device {
	if s := n.spaces[inode]; s != nil && ifindex > 0 && int(ifindex) <= len(s.devices) {
		return s.devices[ifindex-1]
	}
	d := correlate.Numbers{}.Device(inode, ifindex)
	d.NetNS = n.NetNS(inode)
	return d
}

// DropReason implements [correlate.Resolver].
func (n *names) DropReason(code uint32) string {
	if code > 0 && int(code) <= len(n.reasons) {
		return n.reasons[code-1]
	}
	return "NOT_SPECIFIED"
}
