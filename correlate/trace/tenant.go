// SPDX-License-Identifier: Apache-2.0

package trace

import "slices"

// Tenant returns the ID of the tenant in whose namespace, or on whose device, the span
// begins, or "" if that is nobody's.
func (s *Span) Tenant() string {
	switch {
	case s.NetNS != nil && s.NetNS.Tenant != "":
		return s.NetNS.Tenant
	case s.Device != nil:
		return s.Device.Tenant
	}
	return ""
}

// Tenants returns the IDs of the tenants that the ping passed, in the order in which it
// reached them: first the one whose ping it is, if the sender belongs to one. It is nil for a
// ping of nobody.
func (t *Trace) Tenants() []string {
	var ids []string
	add := func(id string) {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for i := range t.Spans {
		begin, end := t.Spans[i].passed()
		add(begin)
		add(end)
	}
	return ids
}

// Tenant returns the first of [Trace.Tenants], or "".
func (t *Trace) Tenant() string {
	for i := range t.Spans {
		begin, end := t.Spans[i].passed()
		if begin != "" {
			return begin
		}
		if end != "" {
			return end
		}
	}
	return ""
}

// passed returns whose the places are where the span begins and ends, unless it only sums up
// others.
func (s *Span) passed() (begin, end string) {
	if !s.Leaf && s.Kind != KindPing {
		return "", ""
	}
	if s.Peer != nil {
		end = s.Peer.Tenant
	}
	return s.Tenant(), end
}
