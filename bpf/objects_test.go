// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/event/eventtest"
)

// The object file and the table of hooks are of one another: each hook has its program,
// of the hook's class, and each program that is attached to a hook has a row.
func TestEachHookHasItsProgram(t *testing.T) {
	spec, err := loadKernel()
	if err != nil {
		t.Fatal(err)
	}
	classes := map[event.Class]ebpf.ProgramType{event.Tracepoint: ebpf.Tracing, event.NetfilterProgram: ebpf.Netfilter}
	for _, hook := range event.All().List() {
		if hook.Class == event.ActingProgram {
			if spec.Programs[hook.Name] != nil {
				t.Errorf("%s has a program here, although it is somebody else's", hook)
			}
			continue
		}
		prog := spec.Programs[hook.Name]
		if prog == nil {
			t.Errorf("%s has no program", hook)
			continue
		}
		if want := classes[hook.Class]; prog.Type != want {
			t.Errorf("the program of %s is of type %s, want %s", hook, prog.Type, want)
		}
		if hook.Class == event.Tracepoint && prog.AttachTo != hook.Name {
			t.Errorf("the program of %s is attached to %s", hook, prog.AttachTo)
		}
	}
	for name, prog := range spec.Programs {
		if _, known := event.All().ByName(name); !known && (prog.Type == ebpf.Tracing || prog.Type == ebpf.Netfilter) {
			t.Errorf("the program %s has no row in the table of hooks", name)
		}
	}
}

func TestAttachOrder(t *testing.T) {
	want := []string{
		"skb_copy_datagram_iovec", "kfree_skb", "netif_receive_skb", "net_dev_xmit", "napi_gro_receive_entry",
		"netif_rx", "net_dev_start_xmit", "net_dev_queue", "made_up",
	}
	var got []string
	for _, hook := range attachOrder(event.All().With(eventtest.MadeUp())) {
		got = append(got, hook.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// A tracepoint that is added to the table and has a program is attached to with the
// others: here to one that every kernel has and that records nothing.
func TestLoadAddedTracepoint(t *testing.T) {
	privileged(t)
	added := event.HookInfo{Hook: 201, Name: "consume_skb", Class: event.Tracepoint, Place: 1}
	hooks := event.All().With(added)
	opts := Options{RingBytes: 1}
	load := func(program bool) (*Tracer, error) {
		spec, err := opts.spec()
		if err != nil {
			t.Fatal(err)
		}
		if program {
			spec.Programs[added.Name] = &ebpf.ProgramSpec{
				Name: added.Name, Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: added.Name,
				Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, License: "GPL",
			}
		}
		return load(opts, spec, hooks)
	}
	if tracer, err := load(false); err == nil {
		t.Error("loaded a hook without a program")
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
	}
	tracer, err := load(true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := tracer.Attach(); err != nil {
		t.Fatal(err)
	}
	if want := len(hooks.Of(event.Tracepoint)); len(tracer.links) != want {
		t.Errorf("attached to %d tracepoints, want %d", len(tracer.links), want)
	}
}
