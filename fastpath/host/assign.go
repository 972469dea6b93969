// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// judge says whose the devices are.
type judge struct {
	set   *tenant.Set
	addrs map[int][]netip.Addr
	// devices are by index, order are their indices in order.
	devices map[int]*device
	order   []int
	// owners are the tenants who own a device by its own name, and uplinks those devices that
	// are named as uplinks.
	owners  map[int][]string
	uplinks map[int]bool
	// bridges are the tenants who own a bridge by its name.
	bridges map[int][]string
}

// assign says whose the devices are.
func assign(devices []device, addrs map[int][]netip.Addr, set *tenant.Set) *scope.Host {
	j := &judge{
		set: set, addrs: addrs, devices: map[int]*device{}, owners: map[int][]string{}, uplinks: map[int]bool{}, bridges: map[int][]string{},
	}
	for i := range devices {
		d := &devices[i]
		j.devices[d.index] = d
		j.order = append(j.order, d.index)
		j.match(d)
	}
	slices.Sort(j.order)
	h := &scope.Host{}
	for _, id := range set.IDs() {
		h.Tenants = append(h.Tenants, j.tenant(id))
	}
	for _, i := range j.order {
		if d := j.devices[i]; j.uplink(d) {
			h.Uplinks = append(h.Uplinks, d.name)
		}
		h.Local = append(h.Local, addrs[i]...)
	}
	slices.SortFunc(h.Local, netip.Addr.Compare)
	h.Local = slices.Compact(h.Local)
	return h
}

// match finds out by which names the device is whose.
func (j *judge) match(d *device) {
	if j.set == nil {
		return
	}
	add := func(to map[int][]string) func(*tenant.Ref) {
		return func(ref *tenant.Ref) {
			if !slices.Contains(to[d.index], ref.Tenant) {
				to[d.index] = append(to[d.index], ref.Tenant)
			}
		}
	}
	for _, name := range d.names() {
		j.set.MatchPort(name, add(j.owners))
		j.set.MatchUplink(name, func(*tenant.Ref) { j.uplinks[d.index] = true })
		if d.kind == kindBridge || d.kind == kindOVS {
			j.set.MatchBridge(name, add(j.bridges))
		}
	}
	slices.Sort(j.owners[d.index])
	slices.Sort(j.bridges[d.index])
}

// uplink reports whether the device leads out of the host: it is called so, or is hardware of
// nobody.
func (j *judge) uplink(d *device) bool {
	return j.uplinks[d.index] || d.kind == kindHardware && !d.loopback && len(j.owners[d.index]) == 0
}

// one is the answer for one tenant.
type one struct {
	*judge
	id       string
	t        scope.Tenant
	problems []string
}

func (j *judge) tenant(id string) scope.Tenant {
	t, _ := j.set.Get(id)
	o := &one{judge: j, id: id, t: scope.Tenant{ID: id, Number: j.set.Number(id), Prefixes: t.Prefixes}}
	for _, i := range j.order {
		d := j.devices[i]
		switch {
		case slices.Contains(j.bridges[i], id), d.kind == kindBridge && o.hasPort(d):
			o.bridge(d)
		case slices.Contains(j.owners[i], id):
			o.port(d)
		}
	}
	for _, i := range j.order {
		o.onTop(j.devices[i])
	}
	o.t.Absent = j.absent(t)
	slices.SortFunc(o.t.Ports, func(a, b scope.Port) int { return cmp.Compare(a.Index, b.Index) })
	o.t.Problem = strings.Join(o.problems, "; ")
	return o.t
}

// absent returns which of the names that a tenant has in full are of no device, in order.
func (j *judge) absent(t tenant.Tenant) []string {
	var names []string
	for _, name := range slices.Concat(t.Bridges, t.Ports) {
		there := slices.ContainsFunc(j.order, func(i int) bool { return slices.Contains(j.devices[i].names(), name) })
		if !there && len(name) < unix.IFNAMSIZ && !strings.ContainsAny(name, "*?[\\+") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (o *one) problem(format string, args ...any) {
	o.problems = append(o.problems, fmt.Sprintf(format, args...))
}

// hasPort reports whether a port of the tenant is on the bridge, or the bridge is its port.
func (o *one) hasPort(bridge *device) bool {
	if slices.Contains(o.owners[bridge.index], o.id) {
		return true
	}
	return slices.ContainsFunc(o.order, func(i int) bool {
		return o.devices[i].master == bridge.index && slices.Contains(o.owners[i], o.id)
	})
}

// bridge adds a bridge with what is on it.
func (o *one) bridge(b *device) {
	if b.kind == kindOVS {
		o.problem("bridge %s is one of Open vSwitch, whose packets iptables does not see: a firewall needs a Linux bridge", b.name)
		return
	}
	if other := o.another(slices.Concat(o.bridges[b.index], o.owners[b.index])); other != "" {
		o.problem("bridge %s is also tenant %s's: give it to one of them", b.name, other)
	}
	if o.uplinks[b.index] {
		o.problem("bridge %s is an uplink: it cannot be a tenant's, too", b.name)
	}
	if b.tagged {
		o.problem("bridge %s filters VLANs, so it may be several networks: use a bridge for each", b.name)
	}
	if b.master != 0 {
		o.enslaved(b)
	}
	mine := slices.Contains(o.bridges[b.index], o.id) || slices.Contains(o.owners[b.index], o.id)
	for _, i := range o.order {
		if d := o.devices[i]; d.master == b.index {
			o.onBridge(b, d, mine)
		}
	}
	o.device(b)
}

// onBridge adds a port of a bridge, which belongs to the tenant if the bridge does by name.
func (o *one) onBridge(b, d *device, mine bool) {
	owners := o.owners[d.index]
	named := slices.Contains(owners, o.id)
	switch other := o.another(owners); {
	case other != "" && named:
		o.problem("port %s is also tenant %s's: give it to one of them", d.name, other)
	case other != "":
		o.problem("port %s of tenant %s is on bridge %s, too: take it off, because iptables cannot tell the two tenants' packets apart there", d.name, other, b.name)
	case o.uplinks[d.index] || d.kind == kindHardware && !named:
		o.problem("port %s of bridge %s leads out of the host, so others' packets may come from there: take it off and route", d.name, b.name)
	case !named && !mine:
		o.problem("port %s of bridge %s belongs to nobody: add it, or the bridge, to tenant %s, or take it off", d.name, b.name, o.id)
	case d.port():
		o.t.Ports = append(o.t.Ports, scope.Port{Name: d.name, Index: d.index, Device: b.index})
	}
}

// port adds a device that the tenant owns by its name and that is not a bridge.
func (o *one) port(d *device) {
	if other := o.another(o.owners[d.index]); other != "" && d.master == 0 {
		o.problem("port %s is also tenant %s's: give it to one of them", d.name, other)
	}
	switch {
	case d.bypasses():
		o.problem("port %s is a %s, whose packets do not pass the host's network: a firewall needs a tap or a pair of veth devices", d.name, d.kind)
	case d.master != 0:
		if m := o.devices[d.master]; m == nil || m.kind != kindBridge {
			o.enslaved(d)
		}
	case o.uplinks[d.index] || d.loopback:
		o.problem("port %s is not a guest's but the host's own: take it from tenant %s", d.name, o.id)
	default:
		o.device(d)
		if d.port() {
			o.t.Ports = append(o.t.Ports, scope.Port{Name: d.name, Index: d.index, Device: d.index})
		}
	}
}

// enslaved notes that a device's packets are not routed by itself or by a bridge.
func (o *one) enslaved(d *device) {
	m := o.devices[d.master]
	switch {
	case m == nil:
		o.problem("device %s is enslaved to a device that is not here", d.name)
	case m.kind == kindOVS:
		o.problem("port %s is on Open vSwitch (%s), so iptables does not see its packets: a firewall needs a Linux bridge or a routed port", d.name, m.name)
	default:
		o.problem("device %s is enslaved to %s, a %s: iptables sees its packets as those of %s, where others' may be", d.name, m.name, m.kind, m.name)
	}
}

func (o *one) device(d *device) {
	o.t.Devices = append(o.t.Devices, scope.Device{Name: d.name, Index: d.index, MAC: d.mac, Addrs: o.addrs[d.index]})
}

// onTop finds a device on top of one of the tenant's, such as of a VLAN, by which packets are
// routed instead.
func (o *one) onTop(d *device) {
	if d.below == 0 || slices.Contains(o.owners[d.index], o.id) {
		return
	}
	mine := slices.ContainsFunc(o.t.Devices, func(s scope.Device) bool { return s.Index == d.below }) ||
		slices.ContainsFunc(o.t.Ports, func(p scope.Port) bool { return p.Index == d.below })
	if mine {
		o.problem("%s, a %s, is on top of %s: add it to the ports of tenant %s, because its packets are routed by it", d.name, d.kind, o.devices[d.below].name, o.id)
	}
}

// another returns the first of the tenants who is not this one, or "".
func (o *one) another(ids []string) string {
	for _, id := range ids {
		if id != o.id {
			return id
		}
	}
	return ""
}
