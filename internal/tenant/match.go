// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Ref is one name or pattern by which a tenant owns something, or by which all tenants may see
// something: then Tenant is "".
type Ref struct{ Tenant, Field, Name string }

// String returns "ports: tap-*".
func (r *Ref) String() string { return r.Field + ": " + r.Name }

// index finds the references that match a name. It takes as many look-ups as there are
// different lengths of what patterns begin with, and not as many as there are references.
type index struct {
	literal map[string][]*Ref
	// patterns are by what they begin with, whose lengths are lengths.
	patterns map[string][]*Ref
	lengths  []int
}

func (x *index) add(name string, ref *Ref) {
	if !IsPattern(name) {
		if x.literal == nil {
			x.literal = map[string][]*Ref{}
		}
		x.literal[name] = append(x.literal[name], ref)
		return
	}
	begin := name[:strings.IndexAny(name, `*?[\`)]
	if x.patterns == nil {
		x.patterns = map[string][]*Ref{}
	}
	x.patterns[begin] = append(x.patterns[begin], ref)
	if !slices.Contains(x.lengths, len(begin)) {
		x.lengths = append(x.lengths, len(begin))
	}
}

// match calls found with each reference that means the name.
func (x *index) match(name string, found func(*Ref)) {
	for _, ref := range x.literal[name] {
		found(ref)
	}
	for _, n := range x.lengths {
		if n > len(name) {
			continue
		}
		for _, ref := range x.patterns[name[:n]] {
			if ok, _ := path.Match(ref.Name, name); ok {
				found(ref)
			}
		}
	}
}

func (x *index) empty() bool { return len(x.literal) == 0 && len(x.patterns) == 0 }

// indices are what a [Set] is searched by.
type indices struct {
	ports, bridges, netns, containers, vms, shared, uplinks index
	// special are the references to namespaces that are paths or may be numbers of processes.
	special []*Ref
	all     []*Ref
}

func newIndices(s *Set) *indices {
	x := &indices{}
	for _, id := range s.ids {
		t := s.tenants[id]
		for _, l := range t.lists() {
			for _, name := range l.names {
				x.enter(&Ref{Tenant: id, Field: l.field, Name: name})
			}
		}
	}
	for _, name := range s.shared {
		ref := &Ref{Field: "shared", Name: name}
		x.all = append(x.all, ref)
		x.shared.add(name, ref)
		x.specialise(ref)
	}
	for _, name := range s.uplinks {
		ref := &Ref{Field: "uplinks", Name: name}
		x.all = append(x.all, ref)
		x.uplinks.add(name, ref)
	}
	return x
}

func (x *indices) enter(ref *Ref) {
	x.all = append(x.all, ref)
	switch ref.Field {
	case "ports":
		x.ports.add(ref.Name, ref)
	case "bridges":
		x.bridges.add(ref.Name, ref)
	case "netns":
		x.netns.add(ref.Name, ref)
		x.specialise(ref)
	case "containers":
		x.containers.add(ref.Name, ref)
	case "vms":
		x.vms.add(ref.Name, ref)
	case "neutron_ports":
		for _, name := range neutronDevices(ref.Name) {
			x.ports.add(name, ref)
		}
	}
}

func (x *indices) specialise(ref *Ref) {
	if _, err := strconv.ParseUint(ref.Name, 10, 31); err == nil || strings.Contains(ref.Name, "/") {
		x.special = append(x.special, ref)
	}
}

// MatchPort calls found with each reference by which a device of the name is a tenant's port.
func (s *Set) MatchPort(name string, found func(*Ref)) { s.index.ports.match(name, found) }

// MatchUplink calls found with each reference by which a device of the name leads out of the
// host.
func (s *Set) MatchUplink(name string, found func(*Ref)) { s.index.uplinks.match(name, found) }

// MatchBridge calls found with each reference by which a bridge of the name is a tenant's.
func (s *Set) MatchBridge(name string, found func(*Ref)) { s.index.bridges.match(name, found) }

// MatchNetNS calls found with each reference by which a namespace of the name is a tenant's,
// and MatchShared with each by which it is shared.
func (s *Set) MatchNetNS(name string, found func(*Ref)) { s.index.netns.match(name, found) }

// MatchShared is described at [Set.MatchNetNS].
func (s *Set) MatchShared(name string, found func(*Ref)) { s.index.shared.match(name, found) }

// MatchContainer calls found with each reference by which a container, or pod, with the name
// or ID is a tenant's.
func (s *Set) MatchContainer(name string, found func(*Ref)) { s.index.containers.match(name, found) }

// MatchVM calls found with each reference by which a libvirt domain of the name is a tenant's.
func (s *Set) MatchVM(name string, found func(*Ref)) { s.index.vms.match(name, found) }

// Special returns the references to namespaces that are paths or may be numbers of processes.
func (s *Set) Special() []*Ref { return s.index.special }

// Refs returns all references, those of nobody last. The caller must not modify
// them.
func (s *Set) Refs() []*Ref { return s.index.all }

// HasBridges reports whether a tenant owns bridges, HasVMs whether one owns VMs.
func (s *Set) HasBridges() bool { return !s.index.bridges.empty() }

// HasVMs is described at [Set.HasBridges].
func (s *Set) HasVMs() bool { return !s.index.vms.empty() }
