// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// rings returns the ring buffers for events that are in the kernel, by their IDs.
func rings(t *testing.T) map[ebpf.MapID]*ebpf.Map {
	t.Helper()
	all := map[ebpf.MapID]*ebpf.Map{}
	for id, err := ebpf.MapGetNextID(0); ; id, err = ebpf.MapGetNextID(id) {
		if errors.Is(err, os.ErrNotExist) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := ebpf.NewMapFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // has gone meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		if info, err := m.Info(); err == nil && m.Type() == ebpf.RingBuf && info.Name == "events" {
			all[id] = m
		}
	}
}

// writeNonsense puts a record into the ring that is none.
func writeNonsense(t *testing.T, ring *ebpf.Map) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, 0),
			asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
			asm.LoadMapPtr(asm.R1, ring.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -8),
			asm.Mov.Imm(asm.R3, 8),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnRingbufOutput.Call(),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	if ret, _, err := prog.Test(make([]byte, 64)); err != nil || ret != 0 {
		t.Fatalf("returned %d: %v", ret, err)
	}
}

// A record that cannot be decoded may have been an event of any ping that is open.
func TestMalformedRecord(t *testing.T) {
	l := up(t, "bridge")
	gate := gates[0].gate(t, l)
	others := rings(t)
	var pings sync.WaitGroup
	roots, sum := exported(t, []*lab.Lab{l}, agent.Options{}, func() {
		pings.Go(func() { pingOnce(t, l) })
		gate.held()
		for id, ring := range rings(t) {
			if others[id] == nil {
				writeNonsense(t, ring)
			}
		}
		gate.open()
		pings.Wait()
		pingOnce(t, l)
	})
	if sum.Kernel.Malformed != 1 || sum.Losses().Malformed != 1 {
		t.Errorf("%d records malformed", sum.Kernel.Malformed)
	}
	if len(roots) != 2 || sum.Incomplete[trace.CauseEventsLost] == 0 || roots[0].attr(trace.AttrIncomplete) != string(trace.CauseEventsLost) {
		t.Errorf("%s\n%v", sum, roots)
	}
}
