// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
)

// The programs remember the packets that have passed a filter by address or interface, with
// the generation of that filter: see admitted in bpf/c/maps.h.

// carryAdmitted gives packets that have passed the filter of one generation the next one,
// so that the rest of their way passes, too.
func (t *Tracer) carryAdmitted(from, to uint32) error {
	ids, err := t.admitted(func(generation uint32) bool { return generation == from })
	if err != nil {
		return err
	}
	for _, id := range ids {
		id.Generation = to
		if err := t.objs.Admitted.Put(id, uint8(1)); err != nil {
			return err
		}
	}
	return nil
}

// forgetAdmitted removes the packets that earlier filters have let pass, before
// their generation's number comes round again.
func (t *Tracer) forgetAdmitted(generation uint32) error {
	ids, err := t.admitted(func(g uint32) bool { return g != generation })
	if err != nil {
		return err
	}
	keys := make([]filterKey, len(ids))
	for i, id := range ids {
		keys[i] = filterKey{t.objs.Admitted, id}
	}
	return deleteKeys(keys)
}

// admitted lists the packets of some generations.
func (t *Tracer) admitted(of func(generation uint32) bool) (ids []kernelIdentity, err error) {
	var id kernelIdentity
	var value uint8
	it := t.objs.Admitted.Iterate()
	for it.Next(&id, &value) {
		if of(id.Generation) {
			ids = append(ids, id)
		}
	}
	// Entries that the programs replace meanwhile may cut the iteration short.
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, err
	}
	return ids, nil
}

// remembers reports whether the programs remember what has passed the filter.
func (f *Filter) remembers() bool { return len(f.Interfaces)+len(f.Addresses) > 0 }

// mayShare reports whether a packet may be chosen by both filters.
func mayShare(a, b *Filter) bool {
	if len(a.Addresses) == 0 || len(b.Addresses) == 0 {
		return true
	}
	return slices.ContainsFunc(a.Addresses, func(p netip.Prefix) bool {
		return slices.ContainsFunc(b.Addresses, p.Overlaps)
	})
}
