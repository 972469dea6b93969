// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"encoding/binary"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// maxKnown bounds each table of a memory. One that is full is forgotten, and what it
// held is written again when it is next asked for.
const maxKnown = 1 << 16

// memory is what a Writer has already written about names.
type memory struct {
	// questions counts the questions of the correlator.
	questions uint64
	// The last answers.
	netns   map[uint32]*trace.NetNS
	devices map[deviceKey]*trace.Device
	reasons map[uint32]string
	rules   map[ruleKey]trace.Rule
	named   map[deviceKey]bool
	// verdictReasons are those of firewalls.
	verdictReasons  map[uint16]string
	fastPathReasons map[uint16]string
	// The numbers of what was defined. Namespaces and devices are distinguished by their
	// addresses, as exporters do.
	netnsIDs   map[*trace.NetNS]uint64
	deviceIDs  map[*trace.Device]uint64
	lastNetNS  uint64
	lastDevice uint64
}

type deviceKey struct{ netns, ifindex uint32 }

func newMemory() memory {
	return memory{
		netns: map[uint32]*trace.NetNS{}, devices: map[deviceKey]*trace.Device{}, reasons: map[uint32]string{},
		rules: map[ruleKey]trace.Rule{}, named: map[deviceKey]bool{}, verdictReasons: map[uint16]string{}, fastPathReasons: map[uint16]string{},
		netnsIDs: map[*trace.NetNS]uint64{}, deviceIDs: map[*trace.Device]uint64{},
	}
}

// remember sets a key of a table, which it empties first if that is full.
func remember[K comparable, V any](table map[K]V, k K, v V) {
	if len(table) >= maxKnown {
		clear(table)
	}
	table[k] = v
}

// netnsIs records an answer, if it is a new one.
func (w *Writer) netnsIs(question uint64, inode uint32, ns *trace.NetNS) {
	if old, ok := w.names.netns[inode]; ok && old == ns {
		return
	}
	remember(w.names.netns, inode, ns)
	id := w.netnsID(ns)
	w.record(opNetNSIs, question, uint64(inode), id)
}

// deviceIs records an answer, if it is a new one.
func (w *Writer) deviceIs(question uint64, k deviceKey, d *trace.Device) {
	if old, ok := w.names.devices[k]; ok && old == d {
		return
	}
	remember(w.names.devices, k, d)
	id := w.deviceID(d)
	w.record(opDeviceIs, question, uint64(k.netns), uint64(k.ifindex), id)
}

// reasonIs records an answer, if it is a new one.
func (w *Writer) reasonIs(question uint64, code uint32, name string) {
	if old, ok := w.names.reasons[code]; ok && old == name {
		return
	}
	remember(w.names.reasons, code, name)
	w.settle()
	w.chunk = binary.AppendUvarint(append(w.chunk, byte(opReasonIs)), question)
	w.chunk = binary.AppendUvarint(w.chunk, uint64(code))
	w.chunk = appendString(w.chunk, name)
	w.sealIfFull()
}

// namedIs records an answer, if it is a new one.
func (w *Writer) namedIs(question uint64, k deviceKey, named bool) {
	if old, ok := w.names.named[k]; ok && old == named {
		return
	}
	remember(w.names.named, k, named)
	w.record(opNamedIs, question, uint64(k.netns), uint64(k.ifindex), bit(named, 1))
}

// netnsID returns the number of a namespace, which it defines first if need be.
func (w *Writer) netnsID(ns *trace.NetNS) uint64 {
	if ns == nil {
		return 0
	}
	if id, ok := w.names.netnsIDs[ns]; ok {
		return id
	}
	w.names.lastNetNS++
	remember(w.names.netnsIDs, ns, w.names.lastNetNS)
	w.settle()
	w.chunk = binary.AppendUvarint(append(w.chunk, byte(opNetNS)), uint64(ns.Inode))
	w.chunk = appendString(w.chunk, ns.Name)
	w.chunk = append(w.chunk, byte(bit(ns.Hypervisor, netnsHypervisor)|bit(ns.Container != nil, netnsContainer)|
		bit(ns.Shared, netnsShared)|bit(ns.Tenant != "", netnsTenant)))
	if c := ns.Container; c != nil {
		for _, s := range []string{c.ID, c.Name, c.Runtime, c.Pod.Name, c.Pod.Namespace, c.Pod.UID} {
			w.chunk = appendString(w.chunk, s)
		}
	}
	if ns.Tenant != "" {
		w.chunk = appendString(w.chunk, ns.Tenant)
	}
	w.sealIfFull()
	return w.names.lastNetNS
}

// deviceID returns the number of a device, which it defines first if need be.
func (w *Writer) deviceID(d *trace.Device) uint64 {
	if d == nil {
		return 0
	}
	if id, ok := w.names.deviceIDs[d]; ok {
		return id
	}
	ns := w.netnsID(d.NetNS)
	w.names.lastDevice++
	remember(w.names.deviceIDs, d, w.names.lastDevice)
	w.settle()
	w.chunk = binary.AppendUvarint(append(w.chunk, byte(opDevice)), ns)
	w.chunk = binary.AppendUvarint(w.chunk, uint64(d.Index))
	w.chunk = appendString(appendString(appendString(w.chunk, d.Name), d.Bridge), d.Type)
	w.chunk = binary.AppendUvarint(w.chunk, uint64(d.Lower.NetNS))
	w.chunk = binary.AppendUvarint(w.chunk, uint64(d.Lower.Index))
	w.chunk = append(appendString(w.chunk, d.Tenant), byte(bit(d.Unattributed, 1)))
	w.sealIfFull()
	return w.names.lastDevice
}
