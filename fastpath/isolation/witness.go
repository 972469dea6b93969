// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"net/netip"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Witness is a packet of somebody else's that a command would affect.
type Witness struct {
	Packet header.Probe
	// Whose is a tenant's ID, "another tenant", "the host", or "nobody known".
	Whose string
}

// What Whose says of those that are not named.
const (
	AnotherTenant = "another tenant"
	TheHost       = "the host"
	NobodyKnown   = "nobody known"
)

// shower chooses packets to show.
type shower struct {
	space *Space
	host  *scope.Host
	// tenant is who asks, or on whose behalf.
	tenant string
	hook   Hook
	// secret: the tenant itself asks, and is shown no device, address or name of others', unless
	// the cell leaves no choice: then the tenant named it.
	secret bool
	// typed are the names that the tenant wrote after -i and -o.
	typed []string
}

// show returns a packet of the first cell that has one.
func (w *shower) show(cells []Cell) *Witness {
	for i := range cells {
		if !cells[i].empty() {
			return w.of(&cells[i])
		}
	}
	return nil
}

func (w *shower) of(c *Cell) *Witness {
	in, out := w.devices(c)
	p := header.Packet{Family: w.space.Family}
	w.fill(&p, &c.Box, in, out)
	probe := header.Probe{Packet: p, In: w.name(in), Out: w.name(out)}
	probe.Words[header.Origin] = header.From // it is not the tenant's: the word has no meaning
	return &Witness{Packet: probe, Whose: w.whose(&p, in, out)}
}

// devices chooses by which the packet enters and leaves: those that make it somebody's.
func (w *shower) devices(c *Cell) (in, out *device) {
	entersHere := w.hook.Chain != "OUTPUT" && w.hook.Chain != "POSTROUTING"
	leavesHere := w.hook.Chain != "INPUT" && w.hook.Chain != "PREROUTING"
	if entersHere {
		in = w.best(c.In, w.tenantFirst)
	}
	if !leavesHere {
		return in, nil
	}
	if in != nil && in.owner != "" && in.owner != w.tenant {
		return in, w.best(c.Out, uplinkFirst)
	}
	return in, w.best(c.Out, w.tenantFirst)
}

// tenantFirst ranks devices: other tenants', then those that lead out, and the tenant's own last.
func (w *shower) tenantFirst(d *device) int {
	switch {
	case d.owner == w.tenant:
		return 3
	case d.owner != "":
		return 0
	case d.uplink:
		return 1
	}
	return 2
}

func uplinkFirst(d *device) int {
	switch {
	case d.uplink:
		return 0
	case d.owner == "":
		return 1
	}
	return 2
}

func (w *shower) best(of header.Set, rank func(*device) int) *device {
	var best *device
	for i := range w.space.devices {
		d := &w.space.devices[i]
		if of.Has(uint32(i)) && (best == nil || rank(d) < rank(best)) {
			best = d
		}
	}
	return best
}

// name returns what is shown of a device.
func (w *shower) name(d *device) string {
	switch {
	case d == nil:
		return ""
	case w.secret && d.owner != "" && d.owner != w.tenant && !slices.Contains(w.typed, d.name):
		return Another
	}
	return d.name
}

func (w *shower) whose(p *header.Packet, in, out *device) string {
	for _, d := range []*device{in, out} {
		if d != nil && d.owner != "" && d.owner != w.tenant {
			if w.secret {
				return AnotherTenant
			}
			return d.owner
		}
	}
	if w.hook.Chain == "INPUT" || w.hook.Chain == "OUTPUT" ||
		w.hook.Chain == "PREROUTING" && slices.Contains(w.host.Local, p.Address(header.Dst0)) ||
		w.hook.Chain == "POSTROUTING" && slices.Contains(w.host.Local, p.Address(header.Src0)) {
		return TheHost
	}
	return NobodyKnown
}

// fill chooses a header in the box, an ordinary one where that can be.
func (w *shower) fill(p *header.Packet, box *header.Box, in, out *device) {
	protos := []uint32{header.ICMP, header.TCP, header.UDP, header.ICMPv6, header.SCTP, header.DCCP, header.UDPLite}
	if p.Family == header.V6 {
		protos[0], protos[3] = header.ICMPv6, header.ICMP
	}
	if s := box[header.Proto]; s != nil {
		protos = append(protos, s[0].Lo)
	}
	for _, proto := range protos {
		if !box[header.Proto].Has(proto) {
			continue
		}
		p.Words[header.Proto] = proto
		p.Assume()
		p.Words[header.Dport] = 0
		if header.HasPorts(proto) {
			p.Words[header.Dport] = 80
		}
		w.addresses(p, box, in, out)
		for word, s := range box {
			if s != nil && !s.Has(p.Words[word]) && len(s) > 0 {
				p.Words[word] = s[0].Lo
			}
		}
		if exists(p) {
			return
		}
	}
}

// exists reports whether the words go together.
func exists(p *header.Packet) bool {
	proto := p.Words[header.Proto]
	return (header.HasPorts(proto) || p.Words[header.Dport] == 0) &&
		(header.HasPorts(proto) || header.HasType(p.Family, proto) || p.Words[header.Sport] == 0) &&
		(proto == header.TCP || p.Words[header.Flags] == 0) && p.Words[header.State]&7 <= uint32(header.Untracked)
}

func (w *shower) addresses(p *header.Packet, box *header.Box, in, out *device) {
	w.address(p, box, header.Src0, w.usual(in, w.hook.Chain == "OUTPUT" || w.hook.Chain == "POSTROUTING", 0))
	w.address(p, box, header.Dst0, w.usual(out, w.hook.Chain == "INPUT" || w.hook.Chain == "PREROUTING", 1))
}

// usual returns addresses that a packet at a device may have, the best first.
func (w *shower) usual(d *device, local bool, which int) []netip.Addr {
	v4 := w.space.Family == header.V4
	var usual []netip.Addr
	add := func(a netip.Addr) {
		if a.Is4() == v4 && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			usual = append(usual, a)
		}
	}
	if d != nil && d.owner != "" && (!w.secret || d.owner == w.tenant) {
		for _, prefix := range w.host.Get(d.owner).Prefixes {
			if first := prefix.Masked().Addr().Next(); prefix.Contains(first) {
				add(first)
			}
			add(prefix.Masked().Addr())
		}
	}
	if local {
		for _, a := range w.local() {
			add(a)
		}
	}
	documentation := [][2]string{{"198.51.100.7", "203.0.113.8"}, {"2001:db8:1::7", "2001:db8:2::8"}}
	if v4 {
		return append(usual, netip.MustParseAddr(documentation[0][which]))
	}
	return append(usual, netip.MustParseAddr(documentation[1][which]))
}

// local returns the host's addresses that may be shown.
func (w *shower) local() []netip.Addr {
	if !w.secret {
		return w.host.Local
	}
	var addrs []netip.Addr
	for _, d := range w.host.Get(w.tenant).Devices {
		addrs = append(addrs, d.Addrs...)
	}
	return addrs
}

// address sets the four words from first on to the first of the addresses that is in the box, or
// to one that the box has.
func (w *shower) address(p *header.Packet, box *header.Box, first header.Word, usual []netip.Addr) {
	for _, a := range usual {
		p.SetAddress(first, a)
		in := true
		for i := first; i < first+4; i++ {
			in = in && box[i].Has(p.Words[i])
		}
		if in {
			return
		}
	}
	for i := first; i < first+4; i++ {
		if s := box[i]; len(s) > 0 {
			p.Words[i] = s[0].Lo
		} else {
			p.Words[i] = 0
		}
	}
	last := first
	if w.space.Family == header.V6 {
		last += 3
	}
	if next := p.Words[last] + 1; next != 0 && box[last].Has(next) {
		p.Words[last] = next // the first address of a prefix is not a host's
	}
}
