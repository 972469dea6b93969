// SPDX-License-Identifier: Apache-2.0

package approval

import (
	"reflect"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// class is which packets pass a path.
type class uint8

// The classes, which differ in what connection tracking may say.
const (
	tracked   class = iota // of known connections
	untracked              // of none
	outer                  // with what a tunnel puts before others
)

type pathKey struct {
	family header.Family
	class  class
}

// path is those of a [premises.Path]'s rules that may matter.
type path struct {
	where   string
	layer   premises.Layer
	point   premises.Point
	devices []string
	set     *ruleset.Set
	rules   *ruleset.Prepared // of set
	notes   map[uint32]*premises.Note
}

// pathsOf returns the paths on which some rule may treat packets of a flow differently.
func pathsOf(f *premises.Foreign) map[pathKey][]path {
	paths := map[pathKey][]path{}
	for _, family := range []header.Family{header.V4, header.V6} {
		all := f.Paths(family)
		for _, c := range []class{tracked, untracked, outer} {
			k := pathKey{family, c}
			for i := range all {
				if !meets(&all[i], c) {
					continue
				}
				if p := pruned(&all[i], c); p != nil {
					paths[k] = append(paths[k], *p)
				}
			}
		}
	}
	return paths
}

// meets reports whether packets of the class may come to a path at all.
func meets(p *premises.Path, c class) bool {
	if p.Layer != premises.OfIP {
		return true
	}
	switch p.Point {
	case premises.Input, premises.Output:
		return c == outer
	case premises.Forward:
		return c != outer
	}
	return true
}

// fast are all packets that the fast path may send.
func fast(c class) header.Box {
	var b header.Box
	b[header.Flags], b[header.Length], b[header.TTL] = flags(), header.Range(shortest, header.Length.Max()), lifetimes()
	b[header.Proto] = header.Values(header.TCP, header.UDP, header.ICMP, header.ICMPv6)
	if c == outer {
		b[header.Proto], b[header.Flags] = header.Values(header.UDP), header.Values(0)
	}
	b[header.State] = header.Values(statesOf(c)...)
	return b
}

// shortest is an IPv4 header and one of UDP or of an echo, in bytes.
const shortest = 20 + 8

func lifetimes() header.Set { return header.Range(1, header.TTL.Max()) }

// statesOf are the states that packets of a class may have.
func statesOf(c class) []uint32 {
	if c == untracked {
		return []uint32{header.StateOf(header.Invalid, 0), header.StateOf(header.Untracked, 0)}
	}
	var states []uint32
	for bits := uint32(0); bits < header.StateEnd; bits += header.StateReply {
		states = append(states, header.StateOf(header.Established, bits))
		if c == outer {
			states = append(states, header.StateOf(header.New, bits))
		}
	}
	if c == outer {
		states = append(states, header.StateOf(header.Invalid, 0), header.StateOf(header.Untracked, 0))
	}
	return states
}

// flags are those of TCP packets, and those of others.
func flags() header.Set { return tcpFlags().Union(header.Values(0)) }

// tcpFlags are ACK with any of CWR, ECE and PSH.
func tcpFlags() header.Set {
	const ack, free = 0x10, 0x80 | 0x40 | 0x08
	set, _ := header.Masked(ack, 0xff&^free, header.Flags.Max(), 256)
	return set
}

// pruned returns a path without what does not matter to any fast packet, or nil if nothing does.
func pruned(from *premises.Path, c class) *path {
	packets := fast(c)
	p := &path{where: from.Where, layer: from.Layer, point: from.Point, devices: from.Devices, notes: map[uint32]*premises.Note{}}
	p.set = &ruleset.Set{Family: from.Rules.Family, Base: from.Rules.Base, Policy: from.Rules.Policy, Chains: map[string]*ruleset.Chain{}}
	matters := false
	for todo := []string{from.Rules.Base}; len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		source := from.Rules.Chains[name]
		if source == nil || p.set.Chains[name] != nil {
			continue
		}
		chain := &ruleset.Chain{Name: name}
		p.set.Chains[name] = chain
		for i := range source.Rules {
			r := source.Rules[i]
			some, all := reach(&r, &packets)
			if !some || r.Action == ruleset.Continue && !r.Marks && (!r.Unknown || r.Fixed) {
				continue
			}
			note := from.Notes[r.ID]
			r.ID = uint32(len(p.notes)) + 1
			p.notes[r.ID] = note
			chain.Rules = append(chain.Rules, r)
			matters = matters || r.Unknown && !r.Fixed || r.Action == ruleset.Foreign || limits(&r, &packets)
			if r.Action == ruleset.Jump || r.Action == ruleset.Goto {
				todo = append(todo, r.Target)
			}
			if all && !r.Unknown && r.Action != ruleset.Continue && r.Action != ruleset.Jump {
				break
			}
		}
	}
	if !matters {
		return nil
	}
	p.rules = ruleset.Prepare(p.set)
	return p
}

// reach reports whether a rule has some of the packets, and whether a box of it has all.
func reach(r *ruleset.Rule, packets *header.Box) (some, all bool) {
	for i := range r.Boxes {
		meets, covers := true, true
		for w, s := range r.Boxes[i] {
			if s == nil {
				continue
			}
			in := packets[w]
			if in == nil {
				in = header.Range(0, header.Word(w).Max())
			}
			meets = meets && !s.Intersect(in).Empty()
			covers = covers && meets && in.Subtract(s, header.Word(w).Max()).Empty()
		}
		some, all = some || meets, all || meets && covers
	}
	return some, all
}

// limits reports whether a rule may match only some of a flow's packets.
func limits(r *ruleset.Rule, packets *header.Box) bool {
	for i := range r.Boxes {
		b := &r.Boxes[i]
		for _, w := range []header.Word{header.Flags, header.Length, header.TTL} {
			if b[w] != nil && !packets[w].Subtract(b[w], w.Max()).Empty() {
				return true
			}
		}
		if limitsECN(b[header.TOS]) {
			return true
		}
	}
	return false
}

// limitsECN reports whether a set has some of the values of TOS that have the same DSCP, and not all.
func limitsECN(s header.Set) bool {
	for dscp := uint32(0); s != nil && dscp <= header.TOS.Max(); dscp += 4 {
		if n := s.Has(dscp); n != s.Has(dscp+1) || n != s.Has(dscp+2) || n != s.Has(dscp+3) {
			return true
		}
	}
	return false
}

// equalPaths compares what rules do, and not what they are called.
func equalPaths(a, b map[pathKey][]path) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		same := slices.EqualFunc(a[k], b[k], func(x, y path) bool {
			if x.where != y.where || x.layer != y.layer || x.point != y.point || !slices.Equal(x.devices, y.devices) {
				return false
			}
			for id, note := range x.notes {
				other := y.notes[id]
				if other == nil || !slices.Equal(note.In, other.In) || !slices.Equal(note.Out, other.Out) {
					return false
				}
			}
			return reflect.DeepEqual(x.set, y.set)
		})
		if !same {
			return false
		}
	}
	return true
}
