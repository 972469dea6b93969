// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
)

// nesting are the hooks at which a program may interrupt another one of its hook, on the same CPU.
var nesting = []event.Hook{event.KfreeSKB, event.NetfilterFirst, event.NetfilterLast, event.Acted}

// cursor is what a program says of the place that it parses, which is on its own stack.
var cursor = regexp.MustCompile(`\bc->(at|left)\b`)

// Programs interrupt each other, and CPUs may share a ring. So what they count they add in one
// instruction, but for the number that only one of them counts, which does not interrupt itself.
func TestCountsAreAddedAtomically(t *testing.T) {
	spec, err := loadKernel()
	if err != nil {
		t.Fatal(err)
	}
	for name, prog := range spec.Programs {
		var own []int16
		if hook, known := event.All().ByName(name); known && !slices.Contains(nesting, hook.Hook) {
			at := unsafe.Offsetof(kernelDecisions{}.LeftOut) + uintptr(hook.Hook)*unsafe.Sizeof(kernelDecisions{}.LeftOut[0])
			own = []int16{int16(at), int16(at + 8)}
		}
		line := ""
		for i := range prog.Instructions[2:] {
			in := prog.Instructions[i : i+3]
			if source := in[0].Source(); source != nil && source.String() != "" {
				line = source.String()
			}
			if isAddition(in) && !slices.Contains(own, in[0].Offset) && !cursor.MatchString(line) {
				t.Errorf("%s reads a number and writes it back: %s", name, line)
			}
		}
	}
}

// So they take room in a ring, each that writes records.
func TestRoomIsTakenAtomically(t *testing.T) {
	spec, err := loadKernel()
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range event.All().List() {
		prog := spec.Programs[hook.Name]
		if prog != nil && !slices.ContainsFunc(prog.Instructions, isCompareAndExchange) {
			t.Errorf("%s takes room without comparing", hook.Name)
		}
	}
}

func isCompareAndExchange(in asm.Instruction) bool {
	return in.OpCode.Class() == asm.StXClass && in.OpCode.Mode() == asm.AtomicMode && in.OpCode.AtomicOp() == asm.CmpXchg
}

// isAddition reports whether the instructions load a number, add to it and store it.
func isAddition(in asm.Instructions) bool {
	load, add, store := in[0], in[1], in[2]
	return load.OpCode == asm.LoadMemOp(asm.DWord) && add.OpCode.ALUOp() == asm.Add && add.OpCode.Class() == asm.ALU64Class &&
		store.OpCode == asm.StoreMemOp(asm.DWord) && load.Dst == add.Dst && add.Dst == store.Src &&
		load.Src == store.Dst && load.Offset == store.Offset
}

// What is left out at a hook is counted by its program, and is as much as is recorded there with the
// gate open.
func TestLeftOutIsCountedByHook(t *testing.T) {
	for name, netfilter := range map[string]bool{"tracepoints": false, "netfilter": true} {
		t.Run(name, func(t *testing.T) {
			a, router, b := routed(t)
			r := record(t, Options{RingBytes: 1 << 20}, a, router, b)
			if netfilter {
				r.netfilter(a, router, b)
			}
			const pings = 20
			p := a.pinger(false)
			p.id = os.Getpid() & 0xffff
			over := watch(t, a)
			flood := func(threshold uint32) {
				if err := r.tracer.SetGate(uint16(p.id), threshold); err != nil {
					t.Fatal(err)
				}
				for seq := range pings {
					p.ping("198.51.100.1", seq, fmt.Appendf(nil, "payload of %7d", seq))
					over()
				}
				r.drain()
			}
			flood(0)
			want := map[event.Hook]uint64{}
			for _, e := range r.events {
				if e.Hook == event.NetDevXmit {
					e.Hook = event.NetDevStartXmit // whose program it is that leaves it out
				}
				want[e.Hook]++
			}
			flood(GateShut)
			if len(want) < 6 || netfilter != (want[event.NetfilterLast] > 0) {
				t.Errorf("recorded %v", want)
			}
			if diff := cmp.Diff(want, r.leftOut()); diff != "" {
				t.Errorf("left out, by hook (-as recorded +got):\n%s", diff)
			}
		})
	}
}

// leftOut returns how many events were left out on all CPUs because of a gate's own threshold.
func (r *recorder) leftOut() map[event.Hook]uint64 {
	r.t.Helper()
	var cpus []kernelDecisions
	if err := r.tracer.objs.Decided.Lookup(uint32(0), &cpus); err != nil {
		r.t.Fatal(err)
	}
	counts := map[event.Hook]uint64{}
	for i := range cpus {
		for hook, n := range cpus[i].LeftOut {
			if n.Gated > 0 {
				counts[event.Hook(hook)] += n.Gated
			}
		}
	}
	return counts
}
