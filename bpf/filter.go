// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
)

// Filter says which events are recorded; all of its parts that are set must
// agree. The zero value records everything. Each part takes up to 4096 entries.
type Filter struct {
	// NetNS are the inode numbers of the network namespaces to record in.
	NetNS []uint32
	// Interfaces are the names of the network devices to record at, in any
	// namespace. Delivery to a socket, and most drops, happen away from any device:
	// they are recorded for packets that were recorded at one.
	Interfaces []string
	// Addresses choose packets rather than places: the echo's source or
	// destination (not the tunnel's) is in one of the prefixes. A packet once
	// chosen is recorded from then on, and so is its reply, also after NAT has
	// changed its addresses.
	Addresses []netip.Prefix
}

// filterKey is a key in one of the filter's maps.
type filterKey struct {
	table *ebpf.Map
	key   any
}

const (
	maxFilterEntries = 4096
	filterAny        = uint8(kernelFilterFlagFILTER_ANY)
	// The generation takes the bits of the kernel's byte that the flags leave.
	generations = 256 / (int(filterAny) + 1)
)

// SetFilter replaces the filter, attached or not. An event is matched against the old
// filter or the new one, never a mixture. A packet that passed the old filter and that
// the new one may choose, too, passes for the rest of its way. While attached, this may
// take the kernel some 10 ms, and more on a busy machine; nothing else waits for it.
func (t *Tracer) SetFilter(f Filter) error {
	t.filterMu.Lock()
	defer t.filterMu.Unlock()
	t.mu.Lock()
	closed, attached := t.closed, len(t.links) > 0 // not to change but by Detach before filterMu is free
	t.mu.Unlock()
	if closed {
		return ErrClosed
	}
	set := func(f Filter) error { return t.swapFilter(f, attached) }
	if differInPlace(&t.filter, &f) {
		set = t.adjustNetNS
	}
	if err := set(f); err != nil {
		return fmt.Errorf("set filter: %w", err)
	}
	return nil
}

// differInPlace reports whether the filters differ in nothing but which namespaces they
// choose.
func differInPlace(old, f *Filter) bool {
	return len(old.NetNS) > 0 && len(f.NetNS) > 0 &&
		slices.Equal(old.Interfaces, f.Interfaces) && slices.Equal(old.Addresses, f.Addresses)
}

// adjustNetNS adds namespaces to the filter and removes others. An event is in one
// namespace, so it cannot be matched against a mixture; packets that have passed continue
// to pass.
func (t *Tracer) adjustNetNS(f Filter) error {
	keys, _, err := t.filterEntries(f, uint32(t.generation))
	if err != nil {
		return err
	}
	if err := putKeys(without(keys, t.filterKeys)); err != nil {
		return err
	}
	removed := without(t.filterKeys, keys)
	t.filter, t.filterKeys = f.clone(), keys
	return deleteKeys(removed)
}

// without returns the keys that are not among others.
func without(keys, others []filterKey) (left []filterKey) {
	there := make(map[filterKey]bool, len(others))
	for _, k := range others {
		there[k] = true
	}
	for _, k := range keys {
		if !there[k] {
			left = append(left, k)
		}
	}
	return left
}

// swapFilter makes the next generation of keys and has the programs change over to it. If
// they are running, the old keys stay until the last that has begun to judge by them ends.
func (t *Tracer) swapFilter(f Filter, running bool) error {
	generation := uint8((int(t.generation) + 1) % generations)
	keys, flags, err := t.filterEntries(f, uint32(generation))
	if err != nil {
		return err
	}
	if err := putKeys(keys); err != nil {
		return err
	}
	carry := func() error { return nil }
	if t.filter.remembers() && f.remembers() && mayShare(&t.filter, &f) {
		from := uint32(t.generation)
		carry = func() error { return explain(t.carryAdmitted(from, uint32(generation))) }
	}
	if err := carry(); err != nil {
		return errors.Join(err, deleteKeys(keys))
	}
	// The swap: one byte, which nothing can tear.
	if err := t.objs.FilterState.Set(flags | generation*(filterAny+1)); err != nil {
		return errors.Join(explain(err), deleteKeys(keys))
	}
	old := t.filterKeys
	t.filter, t.generation, t.filterKeys = f.clone(), generation, keys
	err = carry() // again, for those that passed since
	if running {
		err = errors.Join(err, t.quiescence.wait(), carry())
	}
	if err = errors.Join(err, deleteKeys(old), t.forgetAdmitted(uint32(generation))); err != nil {
		return fmt.Errorf("remove the old filter: %w", explain(err))
	}
	return nil
}

func (f *Filter) clone() Filter {
	return Filter{slices.Clone(f.NetNS), slices.Clone(f.Interfaces), slices.Clone(f.Addresses)}
}

// putKeys adds all keys or, with an error, none.
func putKeys(keys []filterKey) error {
	for i, k := range keys {
		if err := k.table.Put(k.key, uint8(1)); err != nil {
			return errors.Join(explain(err), deleteKeys(keys[:i]))
		}
	}
	return nil
}

func deleteKeys(keys []filterKey) error {
	var errs []error
	for _, k := range keys {
		// The same entry given twice is one key.
		if err := k.table.Delete(k.key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// checkSize returns an error if the filter has more entries than the programs' tables have
// room for. It does not say how many there are: the number changes with each namespace that
// appears, and what is refused should be one message for as long as it lasts.
func (f *Filter) checkSize() error {
	for _, list := range []struct {
		what string
		n    int
	}{{"network namespaces", len(f.NetNS)}, {"interfaces", len(f.Interfaces)}, {"addresses", len(f.Addresses)}} {
		if list.n > maxFilterEntries {
			return fmt.Errorf("more than %d %s", maxFilterEntries, list.what)
		}
	}
	return nil
}

// filterEntries returns the keys to add and the flags to set for a filter.
func (t *Tracer) filterEntries(f Filter, generation uint32) (keys []filterKey, flags uint8, err error) {
	if err := f.checkSize(); err != nil {
		return nil, 0, err
	}
	for _, inode := range f.NetNS {
		key := kernelNetnsKey{Generation: generation, Inode: inode}
		keys = append(keys, filterKey{t.objs.NetnsFilter, key})
		flags |= uint8(kernelFilterFlagFILTER_NETNS)
	}
	for _, name := range f.Interfaces {
		key, err := interfaceKey(name, generation)
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, filterKey{t.objs.InterfaceFilter, key})
		flags |= uint8(kernelFilterFlagFILTER_INTERFACE)
	}
	for _, prefix := range f.Addresses {
		key, err := addressKey(prefix, generation)
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, filterKey{t.objs.AddressFilter, key})
		flags |= uint8(kernelFilterFlagFILTER_ADDRESS)
	}
	return keys, flags, nil
}

func interfaceKey(name string, generation uint32) (kernelInterfaceKey, error) {
	key := kernelInterfaceKey{Generation: generation}
	if name == "" || len(name) >= len(key.Name) {
		return key, fmt.Errorf("interface name %q: must have 1 to %d bytes", name, len(key.Name)-1)
	}
	copy(key.Name[:], name)
	return key, nil
}

// addressKey writes IPv4 prefixes as IPv4-mapped, below ::ffff:0:0/96.
func addressKey(p netip.Prefix, generation uint32) (kernelAddressKey, error) {
	if !p.IsValid() {
		return kernelAddressKey{}, fmt.Errorf("address prefix %v: invalid", p)
	}
	key := kernelAddressKey{
		Prefixlen: uint32(32 + p.Bits()),
		Scope:     generation * 2,
		Addr:      p.Masked().Addr().As16(),
	}
	switch {
	case p.Addr().Is4():
		key.Prefixlen += 96
	case !p.Addr().Is4In6() || p.Bits() < 96:
		key.Scope++
	}
	return key, nil
}
