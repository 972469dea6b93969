// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate/event"
)

// objects are what every kernel has to take: all of the object file but the
// programs of netfilterPrograms. bpf2go's own kernelObjects would load all.
type objects struct {
	kernelMaps
	kernelVariables

	// Where the variables are.
	Bss  *ebpf.Map `ebpf:".bss"`
	Ring *ebpf.Map `ebpf:".rodata.ring"`

	// tracepoints are the programs on tracepoints, in the order in which to attach them.
	tracepoints []*ebpf.Program
}

// ringVariables is the name of the map with the variables of bpf/c/ring.h.
const ringVariables = ".rodata.ring"

// attachOrder returns the tracepoints of a table, those last on a packet's way first: so
// what is recorded of a packet has its end, and a driver call that is seen to begin is
// seen to return.
func attachOrder(hooks *event.Hooks) []event.HookInfo {
	order := hooks.Of(event.Tracepoint)
	slices.SortFunc(order, func(a, b event.HookInfo) int { return cmp.Compare(b.Place, a.Place) })
	return order
}

// loadObjects loads the program of each hook, which is called like it, and what all of
// them share. It takes the other programs out of spec.
func loadObjects(spec *ebpf.CollectionSpec, types *btf.Cache, kernel *btf.Spec, hooks []event.HookInfo) (*objects, error) {
	for _, hook := range hooks {
		if spec.Programs[hook.Name] == nil {
			return nil, fmt.Errorf("there is no program for %s", hook)
		}
	}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool {
		return !slices.ContainsFunc(hooks, func(hook event.HookInfo) bool { return hook.Name == name })
	})
	if err := dropMissingKfuncs(spec, kernel); err != nil {
		return nil, err
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: types})
	if err != nil {
		return nil, explain(err)
	}
	defer loaded.Close() // of what is not taken out of it
	o := &objects{}
	if err := loaded.Assign(o); err != nil {
		return nil, err
	}
	for _, hook := range hooks {
		o.tracepoints = append(o.tracepoints, loaded.DetachProgram(hook.Name))
	}
	return o, nil
}

// shared are the maps that programs loaded later use too.
func (o *objects) shared() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		kernelMapAddressFilter:   o.AddressFilter,
		kernelMapAdmitted:        o.Admitted,
		kernelMapDecided:         o.Decided,
		kernelMapEncrypted:       o.Encrypted,
		kernelMapEncrypting:      o.Encrypting,
		kernelMapEvents:          o.Events,
		kernelMapFragments:       o.Fragments,
		kernelMapGates:           o.Gates,
		kernelMapInterfaceFilter: o.InterfaceFilter,
		kernelMapNetnsFilter:     o.NetnsFilter,
		kernelMapStats:           o.Stats,
		kernelMapTunnelPorts:     o.TunnelPorts,
		kernelMapWakeups:         o.Wakeups,
		".bss":                   o.Bss,
		ringVariables:            o.Ring,
	}
}

// Shared returns the maps through which the programs of another object can record events
// that the Tracer reads, by their names in the object, for
// [ebpf.CollectionOptions.MapReplacements]. Such an object is made with the headers
// bpf/c/act.h or, with more to do by itself, ring.h and parse.h; of its maps it replaces
// those that it has. Their MaxEntries must be set to those of the replacements first.
//
// The maps remain the Tracer's, and must not be closed. The kernel keeps them as long as a
// program uses them; when the Tracer is closed, nobody reads the ring, and what has no more
// room in it is lost. What another object records does not depend on Attach or on the filter,
// but on the gates.
//
// It needs what package bpf needs, and events of such an object have a hook that
// [event.HookInfo.Acts].
func (t *Tracer) Shared() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		kernelMapDecided:     t.objs.Decided,
		kernelMapEvents:      t.objs.Events,
		kernelMapGates:       t.objs.Gates,
		kernelMapStats:       t.objs.Stats,
		kernelMapTunnelPorts: t.objs.TunnelPorts,
		kernelMapWakeups:     t.objs.Wakeups,
		ringVariables:        t.objs.Ring,
	}
}

// Close takes out of the kernel what is loaded.
func (o *objects) Close() error {
	errs := []error{o.kernelMaps.Close(), o.Bss.Close(), o.Ring.Close()}
	for _, p := range o.tracepoints {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// netfilterPrograms need a newer kernel and more privileges than objects.
type netfilterPrograms struct {
	NetfilterFirst  *ebpf.Program `ebpf:"netfilter_first"`
	NetfilterLast   *ebpf.Program `ebpf:"netfilter_last"`
	CountReferences *ebpf.Program `ebpf:"count_references"`
}

// Close takes out of the kernel what is loaded.
func (p *netfilterPrograms) Close() error {
	return errors.Join(p.NetfilterFirst.Close(), p.NetfilterLast.Close(), p.CountReferences.Close())
}
