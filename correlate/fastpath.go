// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"strconv"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// describeFastPath says in a span event what the fast path did to a packet.
func (b *builder) describeFastPath(ev *event.Event, e *trace.Event) {
	a := &ev.Action
	if a.Tenant != 0 {
		e.Attrs = append(e.Attrs, trace.Int(trace.AttrTenantNumber, int64(a.Tenant)))
	}
	switch {
	case a.Deed == event.Redirect:
		b.describeRedirect(ev, e)
	case a.Deed == event.Learn && a.Verdict == event.LearnDone:
		e.Attrs = append(e.Attrs, trace.String(trace.AttrFastPathLearnt, event.Learnt(a.Reason).String()))
	default:
		e.Attrs = append(e.Attrs, trace.String(trace.AttrFastPathReason, b.fastPathReason(a.Reason)))
	}
	if a.Nanoseconds != 0 {
		e.Attrs = append(e.Attrs, trace.Int(trace.AttrFastPathNS, int64(a.Nanoseconds)))
	}
}

// fastPathReason names a reason of the fast path, or returns its number.
func (b *builder) fastPathReason(reason uint16) string {
	if name := b.opts.FastPath.FastPathReason(reason); name != "" {
		return name
	}
	return strconv.Itoa(int(reason))
}

// describeRedirect says from where to where a packet was sent, and what it became.
func (b *builder) describeRedirect(ev *event.Event, e *trace.Event) {
	some := func(key, value string, known bool) {
		if known {
			e.Attrs = append(e.Attrs, trace.String(key, value))
		}
	}
	if ev.IfIndex != 0 {
		e.From = b.opts.Resolver.Device(ev.NetNS, ev.IfIndex)
		some(trace.AttrFastPathFrom, e.From.Name, true)
	}
	if ev.Action.To != 0 {
		e.Device = b.opts.Resolver.Device(ev.NetNS, ev.Action.To)
		some(trace.AttrFastPathTo, e.Device.Name, true)
	}
	r := &ev.Rewrite
	if *r == (event.Rewrite{}) {
		return
	}
	before, after := headersOf(ev), headers{r.Src, r.Dst, r.ID}
	some(trace.AttrFastPathBefore, b.headers.text(before), before != after)
	some(trace.AttrFastPathAfter, b.headers.text(after), before != after)
	some(trace.AttrFastPathSrcMAC, mac(r.From), !r.Flags.Has(event.RewriteNextHop))
	some(trace.AttrFastPathDstMAC, mac(r.To), !r.Flags.Has(event.RewriteNextHop))
	some(trace.AttrFastPathTunnel, trace.Encapsulated, r.Flags.Has(event.RewriteEncapsulated))
	some(trace.AttrFastPathTunnel, trace.Decapsulated, r.Flags.Has(event.RewriteDecapsulated) && !r.Flags.Has(event.RewriteEncapsulated))
	some(trace.AttrFastPathHandover, trace.HandedToPeer, r.Peer != event.Place{})
	e.Attrs = append(e.Attrs,
		trace.Int(trace.AttrFastPathTTL, int64(r.TTL)),
		trace.Int(trace.AttrFastPathLease, int64(r.LeaseMilliseconds)))
}

// mac returns an Ethernet address as people write it.
func mac(a [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
}
