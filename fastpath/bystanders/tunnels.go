// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"errors"
	"maps"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dfInherit is VXLAN_DF_INHERIT: whether outer packets may be fragmented is as of those inside.
const dfInherit = 2

// tunnels returns the VXLAN devices that have one UDP port. What leaves by one whose outer headers are made of each
// packet inside cannot be foretold: it takes the kernel's way.
func (s *snapshot) tunnels() []Tunnel {
	var list []Tunnel
	for _, i := range slices.Sorted(maps.Keys(s.devices)) {
		d := s.devices[i]
		if d.udp != 0 && !d.inherits && (len(list) == 0 || list[0].Port == d.udp) {
			list = append(list, Tunnel{Index: i, Name: d.name, Port: d.udp})
		}
	}
	return list
}

// readInherits finds out which VXLAN devices take the TTL of outer headers from the packets inside, or whether they may be
// fragmented. That of DSCP is known of each flow.
func (s *snapshot) readInherits() error {
	for _, d := range s.devices {
		if d.udp == 0 {
			continue
		}
		req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
		msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
		msg.Index = int32(d.index)
		req.AddData(msg)
		got, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
		if errors.Is(err, unix.ENODEV) { // gone
			continue
		}
		if err != nil {
			return err
		}
		d.inherits = true // if it is not understood
		if len(got) == 1 && len(got[0]) >= unix.SizeofIfInfomsg {
			info := parse(parse(got[0][unix.SizeofIfInfomsg:])[unix.IFLA_LINKINFO])
			d.inherits = inherits(parse(info[unix.IFLA_INFO_DATA]))
		}
	}
	return nil
}

// inherits reads attributes of a VXLAN device.
func inherits(at map[int][]byte) bool {
	is := func(kind int, value byte) bool { return len(at[kind]) == 1 && at[kind][0] == value }
	return is(unix.IFLA_VXLAN_TTL_INHERIT, 1) || is(unix.IFLA_VXLAN_DF, dfInherit)
}
