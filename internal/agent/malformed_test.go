// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// rings returns the maps with the ring buffers for events that are in the kernel, by their IDs.
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
		if info, err := m.Info(); err == nil && m.Type() == ebpf.Array && info.Name == "events" {
			all[id] = m
		}
	}
}

// writeNonsense puts a record into a ring that is none, as a program does: bpf/c/ring.h.
func writeNonsense(t *testing.T, rings *ebpf.Map) {
	t.Helper()
	const (
		page, size = 4096, 24
		words      = 8 // where a record says how many words it has
	)
	one := int(rings.ValueSize()) // with a page before the ring and one behind it
	mem, err := unix.Mmap(rings.FD(), 0, one, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	}()
	head := (*uint64)(unsafe.Pointer(&mem[0]))
	begin := atomic.AddUint64(head, 1<<40+size) - size
	record := mem[page+begin&uint64(one-2*page-1):][:size]
	record[words] = size / 8
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&record[0])), 1)
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
		for id, m := range rings(t) {
			if others[id] == nil {
				writeNonsense(t, m)
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
