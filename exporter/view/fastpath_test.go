// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// redirected draws what the fast path says of a packet that it sent on. In the address of a frame
// is whose device the frame is on; that of a shared one is no tenant's business.
func (d *way) redirected(s *trace.Span) trace.Event {
	n := rapid.IntRange(0, len(d.w.tenants)-1).Draw(d.T, "tenant")
	whose := rapid.SampledFrom(d.w.tenants).Draw(d.T, "whose address is put in")
	e := trace.Event{Time: s.Start, Name: trace.EventRedirect, From: d.next(), Device: d.next()}
	mac := "nobodyzq"
	if e.Device.Tenant != "" {
		mac = e.Device.Tenant + "zq"
	}
	e.Attrs = []trace.Attr{
		trace.String(trace.AttrFastPathFrom, e.From.Name), trace.String(trace.AttrFastPathTo, e.Device.Name),
		trace.String(trace.AttrFastPathSrcMAC, mac), trace.String(trace.AttrFastPathDstMAC, mac),
	}
	if rapid.Bool().Draw(d.T, "in somebody's name") {
		e.Attrs = append(e.Attrs, trace.Int(trace.AttrTenantNumber, tenantNumber(n)))
	}
	if rapid.Bool().Draw(d.T, "rewritten") {
		e.Attrs = append(e.Attrs,
			trace.String(trace.AttrFastPathBefore, d.packet.Src.String()+" -> "+d.packet.Dst.String()+" id 1"),
			trace.String(trace.AttrFastPathAfter, d.w.addresses[whose][0].String()+" -> "+d.packet.Dst.String()+" id 2"))
	}
	return e
}

// leftToKernel draws a fallback of a tenant's packet, or what was learnt from it.
func (d *way) leftToKernel(s *trace.Span) trace.Event {
	n := rapid.IntRange(0, len(d.w.tenants)-1).Draw(d.T, "tenant")
	return trace.Event{
		Time: s.Start, Name: rapid.SampledFrom([]string{trace.EventFallback, trace.EventLearn}).Draw(d.T, "what"),
		Attrs: []trace.Attr{
			trace.Int(trace.AttrTenantNumber, tenantNumber(n)),
			trace.String(trace.AttrFastPathReason, d.w.tenants[n]+"zq"),
		},
	}
}

// A tenant sees what the fast path did in its name: where its packets went, but not the addresses
// that frames have beyond its own devices.
func TestFastPathIsInTheView(t *testing.T) {
	v := &Viewer{Tenant: "red", Number: 7}
	hypervisor := &trace.NetNS{Name: "hypervisor", Inode: 1, Hypervisor: true, Shared: true}
	port := &trace.Device{NetNS: hypervisor, Index: 2, Name: "port", Tenant: "red"}
	blue := &trace.Device{NetNS: hypervisor, Index: 3, Name: "other", Tenant: "blue"}
	nic := &trace.Device{NetNS: hypervisor, Index: 4, Name: "nic"}
	const after, before = "192.0.2.1 -> 198.51.100.1 id 8", "203.0.113.1 -> 198.51.100.1 id 7"
	for name, tt := range map[string]struct {
		from, to *trace.Device
		tenant   int64
		want     []string
		hidden   bool
	}{
		"to the NIC":  {from: port, to: nic, tenant: 7, want: []string{trace.AttrFastPathFrom, trace.AttrFastPathTo, trace.AttrFastPathBefore, trace.AttrFastPathAfter}},
		"to its port": {from: nic, to: port, tenant: 7, want: []string{trace.AttrFastPathFrom, trace.AttrFastPathTo, trace.AttrFastPathSrcMAC, trace.AttrFastPathDstMAC, trace.AttrFastPathBefore, trace.AttrFastPathAfter}},
		"to another":  {from: port, to: blue, tenant: 7, want: []string{trace.AttrFastPathFrom, trace.AttrFastPathBefore, trace.AttrFastPathAfter}},
		"of another":  {from: blue, to: nic, tenant: 8, hidden: true},
	} {
		e := trace.Event{Name: trace.EventRedirect, From: tt.from, Device: tt.to, Attrs: []trace.Attr{
			trace.Int(trace.AttrTenantNumber, tt.tenant),
			trace.String(trace.AttrFastPathFrom, tt.from.Name), trace.String(trace.AttrFastPathTo, tt.to.Name),
			trace.String(trace.AttrFastPathSrcMAC, "02:00:00:00:00:01"), trace.String(trace.AttrFastPathDstMAC, "02:00:00:00:00:02"),
			trace.String(trace.AttrFastPathBefore, before), trace.String(trace.AttrFastPathAfter, after),
		}}
		b := builder{viewer: v}
		seen, ok := b.event(e)
		var keys []string
		for _, a := range seen.Attrs {
			if a.Key != trace.AttrTenantNumber {
				keys = append(keys, a.Key)
			}
		}
		if ok == tt.hidden || ok && !slices.Equal(keys, tt.want) {
			t.Errorf("%s: shown %t, %v, want %v", name, ok, keys, tt.want)
		}
		if b.strict = true; !tt.hidden {
			if seen, _ = b.event(e); text(seen, trace.AttrFastPathAfter) != "" || text(seen, trace.AttrFastPathBefore) != "" {
				t.Errorf("%s: addresses that may be another tenant's are shown", name)
			}
		}
	}
}
