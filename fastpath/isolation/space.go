// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Another is the name of the device that stands for all that are not known.
const Another = "another"

// Space is the packets at a hook: headers, and the devices by which they enter and leave.
type Space struct {
	Family  header.Family
	devices []device
}

// device is one value of the two words that a [Cell] has besides the header's.
type device struct {
	name string
	// owner is the tenant's ID, or "".
	owner  string
	uplink bool
}

// Cell is the packets whose header is in the box and whose devices are in the sets of places
// in [Space].
type Cell struct {
	Box     header.Box
	In, Out header.Set
}

// Point is a packet at a hook.
type Point struct {
	Header  header.Packet
	In, Out uint32
}

// NewSpace returns the space of a host. Names are those that rules have after -i and -o, and
// of which the host need not know: each is told apart from all others.
func NewSpace(family header.Family, host *scope.Host, names []string) *Space {
	s := &Space{Family: family}
	for i := range host.Tenants {
		t := &host.Tenants[i]
		for _, d := range t.Devices {
			s.add(device{name: d.Name, owner: t.ID})
		}
		for _, p := range t.Ports {
			s.add(device{name: p.Name, owner: t.ID})
		}
	}
	for _, name := range host.Uplinks {
		s.add(device{name: name, uplink: true})
	}
	for _, name := range names {
		if prefix, pattern := strings.CutSuffix(name, "+"); pattern {
			name = example(prefix, names)
		}
		s.add(device{name: name})
	}
	s.add(device{name: Another})
	return s
}

func (s *Space) add(d device) {
	if d.name != "" && !slices.ContainsFunc(s.devices, func(o device) bool { return o.name == d.name }) {
		s.devices = append(s.devices, d)
	}
}

// example returns a name that begins with the prefix, and with none longer of the patterns.
func example(prefix string, patterns []string) string {
	for _, c := range "0123456789abcdefghijklmnopqrstuvwxyz" {
		name := prefix + string(c)
		if !slices.ContainsFunc(patterns, func(p string) bool {
			return len(p) > len(prefix)+1 && strings.HasPrefix(p, name)
		}) {
			return name
		}
	}
	return prefix
}

// all is the places of all devices.
func (s *Space) limit() uint32 { return uint32(len(s.devices) - 1) }

// where returns the places of the devices for which the function is true.
func (s *Space) where(is func(device) bool) header.Set {
	set := header.Set{}
	for i, d := range s.devices {
		if is(d) {
			set = set.Union(header.Range(uint32(i), uint32(i)))
		}
	}
	return set
}

// Own returns the places of the tenant's devices.
func (s *Space) Own(tenant string) header.Set {
	return s.where(func(d device) bool { return d.owner == tenant })
}

// Named returns the places of the devices that -i or -o means.
func (s *Space) Named(i iptables.Interface) header.Set {
	if i.Name == "" {
		return nil
	}
	return s.where(func(d device) bool { return means(i.Name, d.name) != i.Not })
}

// means reports whether a name after -i or -o means a device.
func means(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "+"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

func (c *Cell) empty() bool { return c.Box.Empty() || c.In.Empty() || c.Out.Empty() }

// has reports whether the packet is in the cell.
func (c *Cell) has(p *Point) bool {
	return c.Box.Has(&p.Header) && c.In.Has(p.In) && c.Out.Has(p.Out)
}

func (c *Cell) intersect(o *Cell) (Cell, bool) {
	var both Cell
	both.In, both.Out = c.In.Intersect(o.In), c.Out.Intersect(o.Out)
	if both.In.Empty() || both.Out.Empty() {
		return both, false
	}
	box, some := c.Box.Intersect(&o.Box)
	both.Box = box
	return both, some
}

// subtract returns the packets of the cell that are not in o, as cells that do not overlap.
func (s *Space) subtract(c, o *Cell) []Cell {
	both, meet := c.intersect(o)
	if !meet {
		return []Cell{*c}
	}
	var rest []Cell
	keep := func(r Cell) {
		if !r.empty() {
			rest = append(rest, r)
		}
	}
	keep(Cell{Box: c.Box, In: c.In.Subtract(o.In, s.limit()), Out: c.Out})
	keep(Cell{Box: c.Box, In: both.In, Out: c.Out.Subtract(o.Out, s.limit())})
	for _, box := range c.Box.Subtract(&o.Box) {
		keep(Cell{Box: box, In: both.In, Out: both.Out})
	}
	return rest
}

// meet returns the packets that are in cells of both lists.
func meet(a, b []Cell) []Cell {
	var both []Cell
	for i := range a {
		for j := range b {
			if c, some := a[i].intersect(&b[j]); some {
				both = append(both, c)
			}
		}
	}
	return both
}
