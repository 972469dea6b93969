// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// class says whose something is from the viewer's point of view.
type class uint8

const (
	hidden class = iota // somebody else's, or not known
	shared              // nobody's, in a namespace that all may see
	own
)

// ofNetNS returns whose a namespace is.
func (v *Viewer) ofNetNS(ns *trace.NetNS) class {
	switch {
	case ns == nil:
		return hidden
	case ns.Tenant != "":
		return ownIf(ns.Tenant == v.Tenant)
	case ns.Shared:
		return shared
	}
	return hidden
}

// ofDevice returns whose a device is.
func (v *Viewer) ofDevice(d *trace.Device) class {
	switch {
	case d.Unattributed:
		return hidden
	case d.Tenant != "":
		return ownIf(d.Tenant == v.Tenant)
	}
	return v.ofNetNS(d.NetNS)
}

func ownIf(yes bool) class {
	if yes {
		return own
	}
	return hidden
}

// ofSpan returns whose the time of a span is. In a shared namespace that is decided by the
// devices at which it begins and ends: what the namespace does between two devices of which
// one is another tenant's is the shared way, and what it does for that tenant alone is not.
func (v *Viewer) ofSpan(s *trace.Span) class {
	in := v.ofNetNS(s.NetNS)
	if in == hidden || s.Device == nil {
		return in
	}
	begin := v.ofDevice(s.Device)
	if in == own {
		return min(in, begin) // it may not be known any more whose the device is
	}
	if s.Peer == nil {
		return begin
	}
	return max(begin, v.ofDevice(s.Peer))
}

// whole returns the index of the span that decides whose the leaf at index i is: itself, or
// that of which it is a finer part.
func whole(t *trace.Trace, i int) int {
	for p := t.Spans[i].Parent; p > 0; p = t.Spans[p].Parent {
		switch k := t.Spans[p].Kind; {
		case k.Journey(), k == trace.KindDevice, k == trace.KindHypervisor:
			return i
		}
		i = p
	}
	return i
}

// classify finds out whose each leaf is, and which of them the viewer may see.
func (b *builder) classify() {
	t := b.from
	b.classes = make([]class, len(t.Spans))
	b.visible = make([]bool, len(t.Spans))
	for i := range t.Spans {
		s := &t.Spans[i]
		if i == 0 || !s.Leaf && t.After(i) > i+1 {
			continue
		}
		whole := &t.Spans[whole(t, i)]
		b.classes[i] = b.viewer.ofSpan(whole)
		b.strict = b.strict || b.viewer.mayBeOthers(s) || b.viewer.mayBeOthers(whole)
	}
	for i := 1; i < len(t.Spans); i = t.After(i) {
		if t.Spans[i].Kind.Journey() {
			b.strict = b.strict || b.mayConcernOthers(i)
			b.showConnected(i)
		}
	}
}

// mayBeOthers reports whether another tenant takes part in a leaf, or may do so: it is not known
// which device the leaf is about.
func (v *Viewer) mayBeOthers(s *trace.Span) bool {
	switch {
	case s.NetNS == nil, foreign(v, s.NetNS.Tenant):
		return true
	case s.Device == nil && s.NetNS.Shared && !s.Kind.Finer():
		return true
	}
	return others(v, s.Device) || others(v, s.Peer)
}

// mayConcernOthers reports whether it is not known where the packet of the journey at index j
// was going, or where it came from: it died in a shared namespace, or was not seen any more,
// before it was given to what leads to somebody; after NAT it may have another tenant's address.
func (b *builder) mayConcernOthers(j int) bool {
	t, leaves := b.from, b.leavesOf(j)
	sharedAt := func(s *trace.Span) bool { return b.viewer.ofNetNS(s.NetNS) == shared }
	for _, i := range leaves {
		if s := &t.Spans[i]; s.Kind == trace.KindUnseen && sharedAt(s) {
			return true
		}
	}
	first, last := &t.Spans[leaves[0]], &t.Spans[whole(t, leaves[len(leaves)-1])]
	if d := first.Device; sharedAt(first) && d != nil && d.Bridge == d.Name {
		return true
	}
	switch last.Kind {
	case trace.KindDriver, trace.KindLink, trace.KindDeliver:
		return false
	case trace.KindFastPath:
		return last.Peer == nil || last.Error != ""
	}
	return sharedAt(last)
}

// others reports whether a device is another tenant's, or may be.
func others(v *Viewer, d *trace.Device) bool {
	return d != nil && (d.Unattributed || foreign(v, d.Tenant))
}

func foreign(v *Viewer, tenant string) bool { return tenant != "" && tenant != v.Tenant }

// showConnected makes visible what belongs to the viewer in the journey at index j, and the
// shared way before and after it as far as the next hidden leaf or device.
func (b *builder) showConnected(j int) {
	leaves := b.leavesOf(j)
	for len(leaves) > 0 {
		n := b.connected(leaves)
		if run := leaves[:n]; slices.ContainsFunc(run, func(i int) bool { return b.classes[i] == own }) {
			for _, i := range run {
				b.visible[i] = true
			}
		}
		leaves = leaves[max(n, 1):]
	}
}

// connected returns how many of the leaves from the first on may be seen, up to where the
// packet is on a hidden device or in a hidden leaf.
func (b *builder) connected(leaves []int) int {
	for n, i := range leaves {
		if b.classes[i] == hidden || n > 0 && b.meet(leaves[n-1], i) {
			return n
		}
	}
	return len(leaves)
}

// meet reports whether two leaves, one after the other, meet on a hidden device.
func (b *builder) meet(before, after int) bool {
	t := b.from
	out, in := end(&t.Spans[before]), t.Spans[whole(t, after)].Device
	return out != nil && in != nil && whole(t, before) != whole(t, after) &&
		b.viewer.ofDevice(out) == hidden && b.viewer.ofDevice(in) == hidden
}

// leavesOf returns the indices of the leaves of the journey at index j: of a journey without
// any, its own.
func (b *builder) leavesOf(j int) []int {
	end := b.from.After(j)
	if end == j+1 {
		return []int{j}
	}
	leaves := make([]int, 0, end-j)
	for i := j + 1; i < end; i++ {
		if b.from.Spans[i].Leaf {
			leaves = append(leaves, i)
		}
	}
	return leaves
}

// otherHost is the kernel's name of the reason for which it drops a frame that is for
// somebody else's hardware address, such as one that a bridge has flooded.
const otherHost = "OTHERHOST"

// takesPart reports whether anything of the ping is the viewer's, apart from a copy that a
// bridge flooded to a port of the viewer's, where it was not wanted.
func (b *builder) takesPart() bool {
	t := b.from
	for j := 1; j < len(t.Spans); j = t.After(j) {
		if !t.Spans[j].Kind.Journey() {
			continue
		}
		leaves := b.leavesOf(j)
		if t.Spans[leaves[len(leaves)-1]].Error == otherHost {
			n := len(leaves)
			for n > 0 && b.classes[leaves[n-1]] == own {
				n--
			}
			if n > 0 { // otherwise all of it is the viewer's
				leaves = leaves[:n]
			}
		}
		if slices.ContainsFunc(leaves, func(i int) bool { return b.classes[i] == own }) {
			return true
		}
	}
	return false
}
