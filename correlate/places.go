// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// places answers as a Resolver does, for the spans of one trace. It remembers the last answers, because
// most spans are where the one before is.
type places struct {
	resolver Resolver
	netns    *trace.NetNS
	inode    uint32
	// devices are those of the last two places.
	devices [2]*trace.Device
	at      [2]event.Place
	next    int
}

func (p *places) netNS(inode uint32) *trace.NetNS {
	if p.netns == nil || p.inode != inode {
		p.inode, p.netns = inode, p.resolver.NetNS(inode)
	}
	return p.netns
}

// device returns the device of an event, or nil if there is none.
func (p *places) device(ev *event.Event) *trace.Device {
	if ev.IfIndex == 0 {
		return nil
	}
	at := event.Place{NetNS: ev.NetNS, IfIndex: ev.IfIndex}
	for i, known := range p.at {
		if known == at && p.devices[i] != nil {
			return p.devices[i]
		}
	}
	d := p.resolver.Device(at.NetNS, at.IfIndex)
	p.at[p.next], p.devices[p.next] = at, d
	p.next = 1 - p.next
	return d
}
