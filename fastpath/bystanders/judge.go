// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/scope"
)

// leastAgeing is how long a bridge must remember a MAC, in hundredths of a second. The fast
// path shows it one packet every 10 s at least.
const leastAgeing = 3000

// judge works out what holds of a host's devices.
func (s *snapshot) judge(host *scope.Host, names []string) *Facts {
	ports, owner := map[string][]int{}, map[int]string{}
	var all []int
	for i := range host.Tenants {
		t := &host.Tenants[i]
		for _, p := range t.Ports {
			if _, twice := owner[p.Index]; s.devices[p.Index] == nil || twice {
				continue
			}
			ports[t.ID] = append(ports[t.ID], p.Index)
			owner[p.Index] = t.ID
			all = append(all, p.Index)
		}
	}
	f := &Facts{Tenants: map[string]string{}}
	var nics []int
	if len(names) > 0 {
		nics, f.Blocked = s.named(names)
	} else {
		nics, f.Blocked = s.findNICs(all)
	}
	if s.bridged != "" && f.Blocked == "" {
		f.Blocked = s.bridged
	}
	between := s.between(ports, nics)
	f.Near = s.near(s.concerned(all, nics, between))
	for id, devices := range between {
		for _, i := range devices {
			why := s.devices[i].bystander()
			switch {
			case why == "":
			case id != "" && f.Tenants[id] == "":
				f.Tenants[id] = why
			case id == "" && f.Blocked == "":
				f.Blocked = why + ", and it may concern packets of every tenant"
			}
		}
	}
	for _, i := range all {
		f.Devices = append(f.Devices, s.port(s.devices[i], owner[i]))
	}
	for _, i := range nics {
		d := s.devices[i]
		if id, port := owner[i]; port {
			f.Blocked = cmp.Or(f.Blocked, fmt.Sprintf("the NIC %s is a port of tenant %s", d.name, id))
			continue
		}
		f.Devices = append(f.Devices, Device{Index: i, Name: d.name, Master: d.master, Blocked: s.end(d)})
	}
	f.Tunnels = s.tunnels()
	slices.SortFunc(f.Devices, func(a, b Device) int { return cmp.Compare(a.Index, b.Index) })
	return f
}

// bystander says what at a device between port and NIC would be passed over, or returns "".
func (d *device) bystander() string {
	switch q := d.shaper(); {
	case q != "":
		return fmt.Sprintf("%s, which would be passed over, has the queue %s", d.name, q)
	case len(d.foreign) > 0:
		return fmt.Sprintf("%s, which would be passed over, has %s", d.name, d.foreign[0])
	case d.xdp != "":
		return fmt.Sprintf("%s, which would be passed over, has %s", d.name, d.xdp)
	case d.kind == kindBridge && d.ageing < leastAgeing:
		return fmt.Sprintf("bridge %s forgets MACs after %.1f s: it must be %d s at least", d.name, float64(d.ageing)/100, leastAgeing/100)
	}
	return ""
}

// end says why no flow may enter or leave by a port or NIC directly, or returns "". Its queue is not
// passed over, and programs at XDP come before.
func (s *snapshot) end(d *device) string {
	switch m := s.devices[d.master]; {
	case d.loopback || !d.ethernet:
		return fmt.Sprintf("%s is not an Ethernet device", d.name)
	case len(d.foreign) > 0:
		return fmt.Sprintf("%s has %s", d.name, d.foreign[0])
	case d.master != 0 && (m == nil || m.kind != kindBridge):
		what := "a device that is not here"
		if m != nil {
			what = fmt.Sprintf("%s (%s), so that its packets are not its own", m.name, m.kind)
		}
		return fmt.Sprintf("%s belongs to %s", d.name, what)
	}
	for _, other := range s.devices {
		if other.below == d.index && !other.aside() {
			return fmt.Sprintf("%s (%s) is on top of %s, and what it does with packets is not known", other.name, other.kind, d.name)
		}
	}
	return ""
}

// aside reports whether a device on top of another leaves alone what is not for its own VLAN or
// MAC, so that it is not concerned by packets that pass the other one.
func (d *device) aside() bool {
	switch d.kind {
	case "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap":
		return true
	}
	return d.tunnel()
}

// port says what holds of a tenant's port.
func (s *snapshot) port(d *device, tenant string) Device {
	p := Device{Index: d.index, Name: d.name, Port: true, Tenant: tenant, Master: d.master, Blocked: s.end(d), PeerNetNS: d.peerInode, PeerIndex: d.peer}
	switch q := d.shaper(); {
	case d.kind != kindVeth:
		p.NoPeer = fmt.Sprintf("%s is not a veth", d.name)
	case d.peer == 0 || d.peerNS == here:
		p.NoPeer = fmt.Sprintf("the other end of %s is not in another namespace", d.name)
	case p.Blocked != "":
		p.NoPeer = p.Blocked
	case q != "":
		p.NoPeer = fmt.Sprintf("the queue %s of %s would be passed over", q, d.name)
	case d.peerProgram != "":
		p.NoPeer = d.peerProgram
	}
	p.Peer = p.NoPeer == ""
	if d.kind != kindVeth {
		p.PeerNetNS, p.PeerIndex = 0, 0
	}
	return p
}
