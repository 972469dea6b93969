// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// world is a host with several tenants. Every name in it begins with that of its owner and
// "zq", which no other text has.
type world struct {
	tenants []string
	// inside are the devices in namespaces of tenants and of nobody, ports those in the
	// hypervisor.
	inside, ports []*trace.Device
	// addresses are those that guests of a tenant have, by tenant. Only the first is in a
	// prefix that is known to be the tenant's.
	addresses map[string][]netip.Addr
	// tunnels are their numbers, each with whose it is.
	tunnels map[uint32]string
	count   uint32
}

func drawWorld(t *rapid.T) *world {
	w := &world{addresses: map[string][]netip.Addr{}, tunnels: map[uint32]string{}}
	hypervisor := &trace.NetNS{Inode: w.number(), Name: "hypervisor", Hypervisor: true, Shared: true}
	for n := range rapid.IntRange(2, 5).Draw(t, "tenants") {
		id := fmt.Sprintf("t%d", n)
		w.tenants = append(w.tenants, id)
		for i := range rapid.IntRange(1, 2).Draw(t, "guests") {
			ns := &trace.NetNS{Inode: w.number(), Name: fmt.Sprintf("%szq-guest%d", id, i), Tenant: id}
			w.addDevices(t, ns, id, "")
		}
		w.addPorts(t, hypervisor, id)
		for i := range 2 {
			w.addresses[id] = append(w.addresses[id], netip.AddrFrom4([4]byte{10, byte(n), 0, byte(i + 1)}))
		}
	}
	w.addPorts(t, hypervisor, "")
	nobody := &trace.NetNS{Inode: w.number(), Name: "nobodyzq-ns"}
	w.addDevices(t, nobody, "nobody", "")
	d := w.device(hypervisor, "unknownzq-port")
	d.Unattributed = true
	w.ports = append(w.ports, d)
	for i := range 2 {
		w.addresses[""] = append(w.addresses[""], netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	return w
}

// number returns one that occurs nowhere else.
func (w *world) number() uint32 {
	w.count++
	return 4_000_000_000 + w.count*977
}

func (w *world) device(ns *trace.NetNS, name string) *trace.Device {
	n := w.number()
	return &trace.Device{NetNS: ns, Index: n, Name: fmt.Sprint(name, n), Tenant: ns.Tenant}
}

func (w *world) addDevices(t *rapid.T, ns *trace.NetNS, owner, bridge string) {
	for range rapid.IntRange(1, 2).Draw(t, "devices") {
		d := w.device(ns, owner+"zq-eth")
		d.Bridge = bridge
		w.inside = append(w.inside, d)
	}
}

// addPorts adds a bridge with its ports to the hypervisor. One of nobody is shared by ports of
// all.
func (w *world) addPorts(t *rapid.T, hypervisor *trace.NetNS, owner string) {
	name := owner + "zq-br"
	if owner == "" {
		name = "shared-br"
	}
	for range rapid.IntRange(1, 3).Draw(t, "ports") {
		d := w.device(hypervisor, "shared-port")
		if owner != "" {
			d.Name = fmt.Sprint(owner, "zq-port", d.Index)
		}
		d.Tenant, d.Bridge = owner, name
		if owner != "" && rapid.Bool().Draw(t, "on the shared bridge") {
			d.Bridge = "shared-br"
		}
		w.ports = append(w.ports, d)
	}
	if owner == "" {
		w.ports = append(w.ports, w.device(hypervisor, "ens"))
	}
}

// way is a trace that is being drawn.
type way struct {
	*rapid.T
	w     *world
	t     *trace.Trace
	now   int64
	spans uint32
	at    *trace.Device
	// src and dst are what the packet says now.
	packet *trace.Packet
}

// drawTrace draws a ping through a world: where it goes, what it passes there, what happens to
// it, and how it ends.
func drawTrace(t *rapid.T, w *world) *trace.Trace {
	d := &way{T: t, w: w, t: &trace.Trace{ID: trace.ID{1}, Outcome: trace.Complete, Sent: rapid.Bool().Draw(t, "sent")}, now: 1_700_000_000_000_000_000}
	d.at = d.next()
	d.packet = d.headers()
	d.t.Ping = trace.Ping{Src: d.packet.Src, Dst: d.packet.Dst, ID: 54321, Seq: 7, PayloadLen: 56}
	d.t.Add(trace.NoParent, trace.Span{ID: d.id(), Kind: trace.KindPing, Start: d.now, NetNS: d.at.NetNS, Packet: d.packet})
	d.journey(trace.KindRequest)
	if rapid.Bool().Draw(t, "replied") {
		d.jump()
		if rapid.Bool().Draw(t, "turn") {
			kind := rapid.SampledFrom([]trace.Kind{trace.KindRespond, trace.KindBeyond, trace.KindUnseen}).Draw(t, "turn")
			d.leaf(0, kind, d.at, nil)
			d.jump()
		}
		for range rapid.IntRange(1, 3).Draw(t, "replies") {
			d.journey(trace.KindReply)
			d.t.Duplicates++
		}
		d.t.Duplicates--
	}
	d.t.Root().End = d.now
	d.t.Root().Events = d.happens(d.t.Root())
	d.end()
	return d.t
}

// jump goes somewhere else without a trace, or not.
func (d *way) jump() {
	if rapid.Bool().Draw(d.T, "jump") {
		d.at = d.next()
		d.packet = d.headers()
	}
}

// end draws how the ping ended.
func (d *way) end() {
	d.t.Outcome = rapid.SampledFrom(trace.Outcomes()).Draw(d.T, "outcome")
	last := len(d.t.Spans) - 1
	if d.t.ReplySpan > 0 {
		last = d.t.After(d.t.ReplySpan) - 1
	}
	switch d.t.Outcome {
	case trace.Dropped:
		d.t.DropReason = "REASON" + d.place(&d.t.Spans[last])
		d.t.Root().Error = d.t.DropReason
		d.t.Spans[last].Events = append(d.t.Spans[last].Events, trace.Event{
			Time: d.t.Spans[last].End, Name: trace.EventDrop, Attrs: []trace.Attr{trace.String(trace.AttrDropReason, d.t.DropReason)},
		})
		for i := last; i > 0; i = d.t.Spans[i].Parent {
			d.t.Spans[i].Error = d.t.DropReason
		}
	case trace.Incomplete:
		d.t.Cause = rapid.SampledFrom(trace.Causes()).Draw(d.T, "cause")
	}
}

// owner is what names of devices of that owner begin with, for texts that say where something
// happened.
func (d *way) owner(dev *trace.Device) string {
	switch {
	case dev == nil || dev.Unattributed:
		return "unknownzq"
	case dev.Tenant != "":
		return dev.Tenant + "zq"
	case !dev.NetNS.Shared:
		return "nobodyzq"
	}
	return "shared"
}

// place is the owner of the place where a span is; the way from one owner to another is shared
// in the hypervisor.
func (d *way) place(s *trace.Span) string {
	if s.Device == nil {
		return d.owner(&trace.Device{NetNS: s.NetNS, Tenant: s.NetNS.Tenant})
	}
	begin := d.owner(s.Device)
	if s.NetNS.Shared && s.Peer != nil && d.owner(s.Peer) != begin {
		return "shared"
	}
	return begin
}

func (d *way) id() (id trace.SpanID) {
	d.spans++
	binary.BigEndian.PutUint32(id[4:], d.spans)
	return id
}

func (d *way) next() *trace.Device {
	if rapid.Bool().Draw(d.T, "in the hypervisor") {
		return rapid.SampledFrom(d.w.ports).Draw(d.T, "port")
	}
	return rapid.SampledFrom(d.w.inside).Draw(d.T, "device")
}

// headers draws what a packet says where it is now: any address of the device's owner, or of
// anybody within the hypervisor's stack, where NAT may be half done.
func (d *way) headers() *trace.Packet {
	owner := d.at.Tenant
	p := &trace.Packet{
		Src: rapid.SampledFrom(d.w.addresses[owner]).Draw(d.T, "src"),
		Dst: rapid.SampledFrom(slices.Concat(d.w.addresses[owner], d.w.addresses[""])).Draw(d.T, "dst"),
	}
	if rapid.IntRange(0, 5).Draw(d.T, "tunnel") == 0 {
		p.Tunnel, p.TunnelID, p.Depth = "vxlan", d.w.number(), 1
		p.OuterSrc, p.OuterDst = p.Src, p.Dst
		d.w.tunnels[p.TunnelID] = owner
	}
	return p
}

func (d *way) journey(kind trace.Kind) {
	j := d.t.Add(0, trace.Span{ID: d.id(), Kind: kind, Start: d.now, NetNS: d.at.NetNS, Packet: d.packet})
	for range rapid.IntRange(1, 9).Draw(d.T, "hops") {
		d.hop(j)
	}
	d.t.Spans[j].End = d.now
}

// hop adds one leaf, or a few below a device or hypervisor span.
func (d *way) hop(j int) {
	n := rapid.IntRange(0, 3).Draw(d.T, "leaves in a hop")
	if n == 0 {
		d.step(j)
		return
	}
	ns := d.at.NetNS
	parent := d.t.Add(j, trace.Span{
		ID: d.id(), Start: d.now, NetNS: ns, Device: d.at, Packet: d.packet,
		Kind: rapid.SampledFrom([]trace.Kind{trace.KindDevice, trace.KindHypervisor}).Draw(d.T, "hop"),
	})
	for range n {
		d.step(parent)
		if d.at.NetNS != ns {
			break
		}
	}
	s := &d.t.Spans[parent]
	s.End, s.Peer = d.now, other(s.Device, d.at)
}

// step adds a leaf, with finer ones in it or not, and goes on to the next device or stays.
func (d *way) step(parent int) {
	from, to := d.at, d.at
	if rapid.Bool().Draw(d.T, "goes on") {
		to = d.next()
	}
	kind := rapid.SampledFrom([]trace.Kind{
		trace.KindTransmit, trace.KindLink, trace.KindBridge, trace.KindForward, trace.KindDriver, trace.KindRedirect,
		trace.KindFastPath,
	}).Draw(d.T, "kind")
	peer := other(from, to)
	if rapid.IntRange(0, 3).Draw(d.T, "finer") == 0 {
		whole := d.t.Add(parent, trace.Span{ID: d.id(), Kind: kind, Start: d.now, NetNS: from.NetNS, Device: from, Peer: peer, Packet: d.packet})
		d.leaf(whole, trace.KindSoftirq, from, nil)
		d.at = rapid.SampledFrom(d.w.ports).Draw(d.T, "whose headers NAT puts in")
		d.packet = &trace.Packet{Src: d.w.addresses[d.at.Tenant][0], Dst: d.packet.Dst}
		d.leaf(whole, trace.KindPostrouting, from, peer)
		d.t.Spans[whole].End = d.now
	} else if d.leaf(parent, kind, from, peer); rapid.IntRange(0, 7).Draw(d.T, "about a device") == 0 {
		s := &d.t.Spans[len(d.t.Spans)-1]
		s.Device, s.Peer = nil, nil
	}
	d.at = to
	d.packet = d.headers()
}

func (d *way) leaf(parent int, kind trace.Kind, from, peer *trace.Device) {
	s := trace.Span{ID: d.id(), Kind: kind, Leaf: true, Start: d.now, NetNS: from.NetNS, Device: from, Peer: peer, Packet: d.packet}
	d.now += int64(1_000_003 * rapid.IntRange(1, 1<<20).Draw(d.T, "dwell"))
	s.End = d.now
	s.Events = d.happens(&s)
	d.t.Add(parent, s)
}

// happens draws span events.
func (d *way) happens(s *trace.Span) []trace.Event {
	var events []trace.Event
	for range max(0, rapid.IntRange(-3, 2).Draw(d.T, "events")) {
		e := trace.Event{Time: s.Start}
		switch rapid.IntRange(0, 6).Draw(d.T, "event") {
		case 0:
			e.Name, e.Device = trace.EventCopy, d.next()
			e.Attrs = []trace.Attr{trace.String(trace.AttrNetworkInterface, e.Device.Name)}
		case 1:
			whose := rapid.SampledFrom(d.w.tenants).Draw(d.T, "tenant")
			a := d.w.addresses[whose][0].String()
			e.Name = trace.EventNAT
			e.Attrs = []trace.Attr{
				trace.String(trace.AttrNATBefore, d.packet.Src.String()+" -> "+d.packet.Dst.String()+" id 1"),
				trace.String(trace.AttrNATAfter, a+" -> "+d.packet.Dst.String()+" id 2"),
			}
		case 2:
			e = d.redirected(s)
		case 3:
			whose := rapid.SampledFrom(d.w.tenants).Draw(d.T, "tenant")
			e.Name = trace.EventICMPError
			e.Attrs = []trace.Attr{trace.String(trace.AttrSourceAddress, d.w.addresses[whose][0].String())}
		case 4:
			e.Name, e.Attrs = trace.EventFirewall, d.judged()
		case 5:
			e = d.leftToKernel(s)
		default:
			e.Name = "unheard of"
			e.Attrs = []trace.Attr{trace.String("text", d.owner(d.next()))}
		}
		events = append(events, e)
	}
	return events
}

// judged draws the attributes of what a tenant's firewall, or the operator's, said of a packet.
func (d *way) judged() []trace.Attr {
	n := rapid.IntRange(0, len(d.w.tenants)-1).Draw(d.T, "tenant")
	name, rule := d.w.tenants[n]+"zq", tenantNumber(n)*10
	attrs := []trace.Attr{
		trace.String(trace.AttrFirewallVerdict, rapid.SampledFrom([]string{trace.VerdictPass, trace.VerdictDrop, trace.VerdictDefer, trace.VerdictUnknown}).Draw(d.T, "verdict")),
		trace.String(trace.AttrFirewallPlace, "tc"), trace.String(trace.AttrRuleCategory, "firewall"),
		trace.String(trace.AttrTenantID, d.w.tenants[n]),
	}
	switch rapid.IntRange(0, 3).Draw(d.T, "whose") {
	case 0: // the operator's
		name = "nobodyzq"
		attrs[3] = trace.String(trace.AttrTenantID, "")
	case 1: // the number belongs to another now
		other := rapid.IntRange(0, len(d.w.tenants)-1).Draw(d.T, "another")
		if other != n {
			rule = 1
		}
		attrs = append(attrs, trace.Int(trace.AttrTenantNumber, tenantNumber(other)))
	default:
		attrs = append(attrs, trace.Int(trace.AttrTenantNumber, tenantNumber(n)))
	}
	return append(attrs,
		trace.Int(trace.AttrRule, rule), trace.Int(trace.AttrFirewallRule, rule),
		trace.String(trace.AttrFirewallChain, name), trace.String(trace.AttrRuleName, name+" 3"),
		trace.String(trace.AttrRuleUUID, name+"-4711"), trace.String(trace.AttrRuleDescription, "-m comment --comment "+name),
		trace.String(trace.AttrRulesetName, name))
}

// tenantNumber is what firewall and fast path call the nth tenant.
func tenantNumber(n int) int64 { return 7_000_001 + int64(n)*13 }
