// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// event returns what the viewer may see of a span event, and false if that is nothing.
func (b *builder) event(e trace.Event) (trace.Event, bool) {
	switch e.Name {
	case trace.EventDrop:
		return e, true
	case trace.EventNAT:
		return e, b.mayShowHeaders(text(e, trace.AttrNATBefore)) && b.mayShowHeaders(text(e, trace.AttrNATAfter))
	case trace.EventCopy:
		return e, e.Device != nil && b.viewer.ofDevice(e.Device) != hidden
	case trace.EventICMPError:
		if a, err := netip.ParseAddr(text(e, trace.AttrSourceAddress)); err != nil || b.foreign(a) {
			e = without(e, trace.AttrSourceAddress)
		}
		return e, true
	case trace.EventFirewall, trace.EventRedirect, trace.EventFallback, trace.EventLearn:
		return b.action(e)
	}
	return e, false
}

// action returns what the viewer may see of what firewall or fast path did to the packet:
// nothing if it was in another tenant's name, and no rule of the operator's.
func (b *builder) action(e trace.Event) (trace.Event, bool) {
	number, ok := number(e, trace.AttrTenantNumber)
	if ok && (number != int64(b.viewer.Number) || number == 0) {
		return e, false
	}
	if id := text(e, trace.AttrTenantID); id != "" && id != b.viewer.Tenant {
		return e, false // a number that was another tenant's before
	}
	if !ok {
		e = without(e, ofRules[:]...)
	}
	return b.redirection(e), true
}

// redirection returns what the viewer may see of where a packet was sent: not the names of others'
// devices, the addresses that it has there, nor those of frames that are not on a device of the
// viewer's own.
func (b *builder) redirection(e trace.Event) trace.Event {
	if e.From == nil || b.viewer.ofDevice(e.From) == hidden {
		e = without(e, trace.AttrFastPathFrom)
		e.From = nil
	}
	to := hidden
	if e.Device != nil {
		to = b.viewer.ofDevice(e.Device)
	}
	if to == hidden {
		e = without(e, trace.AttrFastPathTo, trace.AttrNetworkInterface)
		e.Device = nil
	}
	if to != own {
		e = without(e, trace.AttrFastPathSrcMAC, trace.AttrFastPathDstMAC)
	}
	if !b.mayShowHeaders(text(e, trace.AttrFastPathBefore)) || !b.mayShowHeaders(text(e, trace.AttrFastPathAfter)) {
		e = without(e, trace.AttrFastPathBefore, trace.AttrFastPathAfter)
	}
	return e
}

// ofRules are the attributes that say which rule it was.
var ofRules = [...]string{
	trace.AttrRule, trace.AttrTenantID, trace.AttrRuleName, trace.AttrRuleUUID, trace.AttrRuleDescription,
	trace.AttrRulesetName, trace.AttrFirewallChain, trace.AttrFirewallRule,
}

// mayShowHeaders reports whether the viewer may see the addresses in the text of a NAT event,
// "192.0.2.1 -> 198.51.100.1 id 7".
func (b *builder) mayShowHeaders(headers string) bool {
	words := strings.Fields(headers)
	if len(words) < 3 {
		return false
	}
	src, err := netip.ParseAddr(words[0])
	dst, err2 := netip.ParseAddr(words[2])
	return err == nil && err2 == nil && b.mayShow(src, dst)
}

// events returns what the viewer may see of span events.
func (b *builder) events(list []trace.Event) []trace.Event {
	var out []trace.Event
	for _, e := range list {
		if e, ok := b.event(e); ok {
			out = append(out, e)
		}
	}
	return out
}

func text(e trace.Event, key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Str
		}
	}
	return ""
}

func number(e trace.Event, key string) (int64, bool) {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Int, true
		}
	}
	return 0, false
}

// without returns a copy of e without some attributes.
func without(e trace.Event, keys ...string) trace.Event {
	e.Attrs = slices.DeleteFunc(slices.Clone(e.Attrs), func(a trace.Attr) bool { return slices.Contains(keys, a.Key) })
	return e
}
