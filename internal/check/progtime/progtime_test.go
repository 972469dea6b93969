// SPDX-License-Identifier: Apache-2.0

package progtime_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/progtime"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// A program that is pinned twice is counted once.
func TestPinned(t *testing.T) {
	privilegetest.BPF(t)
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "nothing", Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	again, err := prog.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for name, p := range map[string]*ebpf.Program{"one": prog, "two": again} {
		if err := p.Pin(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := progtime.Pinned(dir)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := progtime.Measure()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64), Repeat: 100}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	after, err := progtime.Pinned(dir)
	if err != nil {
		t.Fatal(err)
	}
	if ran := after["nothing"].Since(before["nothing"]); ran.Runs != 100 || ran.Took <= 0 || ran.Each() <= 0 {
		t.Errorf("%+v", ran)
	}
}

func TestAlone(t *testing.T) {
	privilegetest.BPF(t)
	each, err := progtime.Alone()
	if err != nil || each <= 0 || each > time.Second {
		t.Errorf("%v, %v", each, err)
	}
	if each := (progtime.Ran{}).Each(); each != 0 {
		t.Errorf("%v of no run", each)
	}
}
