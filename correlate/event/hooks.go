// SPDX-License-Identifier: Apache-2.0

package event

import "slices"

// Class says what kind of BPF program is attached to a hook, and so what a kernel must
// have for it.
type Class uint8

// The classes of hooks.
const (
	// Tracepoint is a tracepoint with BTF (tp_btf), attached once for the whole machine.
	// The hook, the program and the tracepoint have one name.
	Tracepoint Class = 1 + iota
	// NetfilterProgram is a program among a namespace's netfilter chains.
	NetfilterProgram
	// ActingProgram is a program of another object, which is loaded and attached by whoever
	// it belongs to. It does something to packets, and says what it did.
	ActingProgram
)

// CodeKind says what the Event.Code of a hook's events means.
type CodeKind uint8

// The meanings of Event.Code.
const (
	// CodeNone: the code is 0.
	CodeNone CodeKind = iota
	// CodeDropReason: the kernel's enum skb_drop_reason, which differs between kernels.
	CodeDropReason
	// CodeDriverReturn: what the driver returned, enum netdev_tx.
	CodeDriverReturn
	// CodeNetfilterHook: a NetfilterHook.
	CodeNetfilterHook
)

// HookInfo is a hook's row in the table: all that the rest of dwell knows of the hook,
// other than which leaf of a trace begins or ends there.
type HookInfo struct {
	// Name is unique. It is written in listings and recordings.
	Name string
	// Hook is the number on the wire.
	Hook Hook
	// Class is how the hook is attached to.
	Class Class
	// Code is what Event.Code means.
	Code CodeKind
	// Place orders the events of one packet that have the same time: the packet passes
	// the lower place first. It is unique. With CodeNetfilterHook it is added to the place
	// of the netfilter hook. See [Event.Place].
	Place uint8
	// Inbound is set if the packet is on its way into a namespace.
	Inbound bool
	// Arrival is set if this is where the packet arrives on a device; it is then Inbound.
	Arrival bool
	// Terminal is set if nothing can happen to the packet's buffer after this.
	Terminal bool
	// Arguments is how many arguments of a tracepoint the program reads, if there have
	// not always been so many; otherwise 0.
	Arguments uint8
	// Acts is set if the event says what was done to the packet, which is in Event.Action. It
	// is then something that happened on the way, and no step of it: no leaf begins or ends
	// there.
	Acts bool
	// Since is the first kernel that has the hook as it is needed here.
	Since Version
}

// String returns the name, or "unknown" for a row without one.
func (i HookInfo) String() string {
	if i.Name == "" {
		return unknown
	}
	return i.Name
}

// Known reports whether the row is that of a hook.
func (i HookInfo) Known() bool { return i.Name != "" }

// The places on a packet's way. It is made and sent, and arrives, and is filtered,
// and is taken or dropped. A packet that is forwarded goes round: where FORWARD's last
// event has the time of POSTROUTING's first, their order is wrong.
const (
	placeLocalOut = 1 + 2*iota
	placePostRouting
	placeQueue
	placeStartXmit
	placeRx
	placeGRO
	placeXmit
	placeReceive
	placeActed
	placePreRouting
	placeForward
	placeLocalIn
	placeFree
	placeCopy
)

// The first kernels.
var (
	// sinceTracing: programs can be attached to tracepoints with BTF, whose arguments they
	// can then follow (BPF_TRACE_RAW_TP). All tracepoints here are older.
	sinceTracing = Version{5, 5}
	// sinceDropReason: skb:kfree_skb has the reason as its third argument.
	sinceDropReason = Version{5, 17}
	// sinceNetfilter: BPF programs can be netfilter chains (BPF_PROG_TYPE_NETFILTER).
	sinceNetfilter = Version{6, 4}
)

// all is the table. A row is all that a new hook needs here.
var all = new(Hooks).With(
	HookInfo{Hook: NetDevQueue, Name: "net_dev_queue", Class: Tracepoint, Place: placeQueue, Since: sinceTracing},
	HookInfo{Hook: NetDevStartXmit, Name: "net_dev_start_xmit", Class: Tracepoint, Place: placeStartXmit, Since: sinceTracing},
	// Fires when the driver has returned, which on a virtual device is after the arrival
	// on the other end.
	HookInfo{Hook: NetDevXmit, Name: "net_dev_xmit", Class: Tracepoint, Place: placeXmit, Code: CodeDriverReturn, Since: sinceTracing},
	HookInfo{Hook: NetifRx, Name: "netif_rx", Class: Tracepoint, Place: placeRx, Inbound: true, Arrival: true, Since: sinceTracing},
	HookInfo{Hook: NAPIGROReceiveEntry, Name: "napi_gro_receive_entry", Class: Tracepoint, Place: placeGRO, Inbound: true, Arrival: true, Since: sinceTracing},
	HookInfo{Hook: NetifReceiveSKB, Name: "netif_receive_skb", Class: Tracepoint, Place: placeReceive, Inbound: true, Since: sinceTracing},
	HookInfo{Hook: KfreeSKB, Name: "kfree_skb", Class: Tracepoint, Place: placeFree, Code: CodeDropReason, Terminal: true, Arguments: 3, Since: sinceDropReason},
	HookInfo{Hook: SKBCopyDatagramIovec, Name: "skb_copy_datagram_iovec", Class: Tracepoint, Place: placeCopy, Terminal: true, Since: sinceTracing},
	HookInfo{Hook: Acted, Name: "acted", Class: ActingProgram, Place: placeActed, Acts: true, Since: sinceTracing},
	HookInfo{Hook: NetfilterFirst, Name: "netfilter_first", Class: NetfilterProgram, Place: 0, Code: CodeNetfilterHook, Since: sinceNetfilter},
	HookInfo{Hook: NetfilterLast, Name: "netfilter_last", Class: NetfilterProgram, Place: 1, Code: CodeNetfilterHook, Since: sinceNetfilter},
)

// Hooks is a table with one row for each hook. It never changes: [Hooks.With] makes
// another one. The zero value has no rows.
type Hooks struct{ rows [1 << 8]HookInfo }

// All returns the table of all hooks that dwell's BPF programs record.
func All() *Hooks { return all }

// With returns a table that also has the given rows. A row replaces the one with its
// number.
func (h *Hooks) With(rows ...HookInfo) *Hooks {
	more := *h
	for _, row := range rows {
		more.rows[row.Hook] = row
	}
	return &more
}

// Info returns the row of a hook, or one without a name if the hook is not in the table.
func (h *Hooks) Info(hook Hook) HookInfo { return h.rows[hook] }

// Known reports whether a hook is in the table.
func (h *Hooks) Known(hook Hook) bool { return h.rows[hook].Known() }

// ByName returns the row of the hook with a name, and whether there is one.
func (h *Hooks) ByName(name string) (HookInfo, bool) {
	i := slices.IndexFunc(h.rows[:], func(row HookInfo) bool { return row.Known() && row.Name == name })
	if i < 0 {
		return HookInfo{}, false
	}
	return h.rows[i], true
}

// List returns all rows, in the order of the hooks' numbers.
func (h *Hooks) List() []HookInfo {
	return slices.DeleteFunc(slices.Clone(h.rows[:]), func(row HookInfo) bool { return !row.Known() })
}

// Of returns the rows of a class, in the order of the hooks' numbers.
func (h *Hooks) Of(class Class) []HookInfo {
	return slices.DeleteFunc(h.List(), func(row HookInfo) bool { return row.Class != class })
}

// Since returns the first kernel that has all hooks of a class.
func (h *Hooks) Since(class Class) Version {
	var since Version
	for _, row := range h.Of(class) {
		if since.Less(row.Since) {
			since = row.Since
		}
	}
	return since
}
