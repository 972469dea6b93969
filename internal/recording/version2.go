// SPDX-License-Identifier: Apache-2.0

package recording

import "github.com/dwelltrace/dwell/correlate/event"

// The bits that events had in versions 1 and 2 of the format. There, a tunnel was one of
// VXLAN, and what is now the bit of event.Paired said that there was one.
const (
	encapsulated2 = event.Flags(1 << 1)
	outerIPv62    = event.Flags(1 << 5)
)

// mask2 is one more than the widest mask of versions 1 and 2.
const mask2 = 1 << 15

// mask decodes the mask of an event.
func (d *decoder) mask() uint64 {
	switch {
	case d.version > 6:
		return d.upTo(changedThreshold<<1 - 1)
	case d.version > 5:
		return d.upTo(changedRewrite<<1 - 1)
	case d.version > 2:
		return d.upTo(changedAction<<1 - 1)
	}
	// Its bits were hook, ifindex, netns, flags, skb; cpu, code; type, id, seq,
	// payload_size, payload, src, dst; tunnel.
	m := d.upTo(mask2 - 1)
	return m&0x1f | m>>5&0x3*changedCPU | m>>7&0x7f*changedType | m>>14*changedOuter
}

// renewer makes events of versions 1 and 2 what they are now.
type renewer struct {
	pairs event.Pairs
	event event.Event
}

// renew returns what an event would be today. The result is good until the next call.
func (r *renewer) renew(old *event.Event) *event.Event {
	ev := &r.event
	*ev = *old
	ev.Flags &^= encapsulated2 | outerIPv62
	if old.Flags.Has(encapsulated2) {
		ev.Depth, ev.Tunnels[0].Type = 1, event.VXLAN
	} else {
		ev.Tunnels[0] = event.Tunnel{}
	}
	r.pairs.Infer(ev)
	return ev
}
