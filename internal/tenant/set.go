// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Set is all tenants of a host. It does not change. A nil Set has no tenants.
type Set struct {
	tenants map[string]Tenant
	ids     []string // in order
	shared  []string
	uplinks []string
	numbers map[string]uint32
	// prefixes are those of all tenants: see Foreign.
	prefixes prefixTable
	index    *indices
}

// NewSet returns the set of these tenants. All tenants may see the namespaces that the
// references shared mean, and the devices in hypervisors that uplinks names: those that lead out
// of the host. That goes without saying for a physical device, but not for one end of a pair.
//
// Errors are those of [Tenant.Check], and that two tenants have the same ID or own the same:
// each names both tenants and where they are defined. What patterns match is only known
// when it is found. Prefixes may be equal.
func NewSet(tenants []Tenant, shared, uplinks []string) (*Set, error) {
	s := &Set{
		tenants: make(map[string]Tenant, len(tenants)), shared: slices.Clone(shared), uplinks: slices.Clone(uplinks),
		numbers: make(map[string]uint32, len(tenants)),
	}
	c := newClaims()
	for i := range tenants {
		t := tenants[i].clone()
		if err := t.Check(); err != nil {
			c.note(fmt.Errorf("%s: %w", t.label(), err))
			continue
		}
		if before, ok := s.tenants[t.ID]; ok {
			c.note(fmt.Errorf("tenant ID %s is defined twice%s: rename one of them", t.ID, bothOrigins(&before, &t)))
			continue
		}
		s.tenants[t.ID] = t
		c.enter(&t)
		s.number(&t, c)
	}
	for i, ref := range shared {
		if err := checkName(ref); err != nil {
			c.note(fmt.Errorf("shared[%d]: %w", i, err))
		}
		c.share(netnsThing, ref, "namespace "+ref+" is shared")
	}
	for i, name := range uplinks {
		if err := checkDevice(name); err != nil {
			c.note(fmt.Errorf("uplinks[%d]: %w", i, err))
		}
		c.share(deviceThing, name, "device "+name+" is an uplink")
	}
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	s.ids = slices.Sorted(maps.Keys(s.tenants))
	s.prefixes, s.index = newPrefixTable(s), newIndices(s)
	return s, nil
}

// number gives the tenant its number, which only depends on its ID.
func (s *Set) number(t *Tenant, c *claims) {
	n := NumberOf(t.ID)
	if other, ok := c.numbers[n]; ok {
		c.note(fmt.Errorf("tenants %s and %s%s have the same number %d: choose another ID for one of them",
			other.ID, t.ID, bothOrigins(other, t), n))
		return
	}
	c.numbers[n] = t
	s.numbers[t.ID] = n
}

// NumberOf returns the number of a tenant, also of one that is not there any more: four bytes of its ID's SHA-256, but never 0. So it
// is the same after the agent is started again, and for what it left in the kernel.
func NumberOf(id string) uint32 {
	sum := sha256.Sum256([]byte(id))
	return max(binary.BigEndian.Uint32(sum[:4]), 1)
}

// IDs returns the tenants' IDs in order.
func (s *Set) IDs() []string {
	if s == nil {
		return nil
	}
	return slices.Clone(s.ids)
}

// Len returns the number of tenants.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.ids)
}

// Has reports whether there is a tenant with the ID.
func (s *Set) Has(id string) bool {
	_, ok := s.Get(id)
	return ok
}

// Get returns the tenant with the ID. What it shares with the set must not be modified.
func (s *Set) Get(id string) (Tenant, bool) {
	if s == nil {
		return Tenant{}, false
	}
	t, ok := s.tenants[id]
	return t, ok
}

// Shared returns the references to namespaces that all tenants may see.
func (s *Set) Shared() []string {
	if s == nil {
		return nil
	}
	return slices.Clone(s.shared)
}

// Number returns what firewall and fast path call the tenant, or 0 if there is no tenant with
// the ID. It only depends on the ID.
func (s *Set) Number(id string) uint32 {
	if s == nil {
		return 0
	}
	return s.numbers[id]
}

// Foreign returns a function that reports whether an address is in a prefix of another tenant,
// which may be one of this tenant's, too.
func (s *Set) Foreign(id string) func(netip.Addr) bool {
	if s == nil {
		return func(netip.Addr) bool { return false }
	}
	return func(addr netip.Addr) bool { return s.prefixes.foreign(id, addr) }
}

// ForeignBridge returns a function that reports whether a bridge of the name, in a hypervisor,
// is another tenant's.
func (s *Set) ForeignBridge(id string) func(name string) bool {
	return func(name string) (foreign bool) {
		if s == nil {
			return false
		}
		found := func(ref *Ref) { foreign = foreign || ref.Tenant != id }
		s.MatchBridge(name, found)
		s.MatchPort(name, found)
		return foreign
	}
}

// clone returns a copy that shares nothing with t.
func (t Tenant) clone() Tenant {
	for _, l := range []*[]string{&t.Ports, &t.Bridges, &t.NetNS, &t.Containers, &t.VMs, &t.NeutronPorts} {
		*l = slices.Clone(*l)
	}
	t.Prefixes = slices.Clone(t.Prefixes)
	return t
}

// label names the tenant in messages: "tenant red (/etc/dwell/tenants.d/red.yaml:3)".
func (t *Tenant) label() string {
	text := "tenant " + t.ID
	if CheckID(t.ID) != nil {
		text = fmt.Sprintf("tenant %.70q", t.ID)
	}
	if t.Origin != "" {
		text += " (" + t.Origin + ")"
	}
	return text
}

// bothOrigins returns " (here and there)", or "" if neither is known.
func bothOrigins(a, b *Tenant) string {
	switch {
	case a.Origin == "" && b.Origin == "":
		return ""
	case a.Origin == "" || b.Origin == "":
		return " (" + a.Origin + b.Origin + ")"
	}
	return " (" + a.Origin + " and " + b.Origin + ")"
}
