// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// cached answers as the real resolver does: from memory, until something is renamed.
type cached struct {
	names
	devices map[event.Place]*trace.Device
	netNSs  map[uint32]*trace.NetNS
}

func newCached() *cached {
	return &cached{devices: map[event.Place]*trace.Device{}, netNSs: map[uint32]*trace.NetNS{}}
}

func (c *cached) Device(netns, ifindex uint32) *trace.Device {
	at := event.Place{NetNS: netns, IfIndex: ifindex}
	if c.devices[at] == nil {
		c.devices[at] = c.names.Device(netns, ifindex)
	}
	return c.devices[at]
}

func (c *cached) NetNS(inode uint32) *trace.NetNS {
	if c.netNSs[inode] == nil {
		c.netNSs[inode] = c.names.NetNS(inode)
	}
	return c.netNSs[inode]
}
