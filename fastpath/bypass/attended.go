// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Attended reports whether a process attends to the programs that are pinned below pin: whether it has done so
// within the last 3 seconds. It may be called without having them open.
func Attended(pin string) (bool, error) {
	attended, err := isAttended(pin)
	if err != nil {
		return false, fmt.Errorf("find out whether the fast path is in use: %w", explain(err))
	}
	return attended, nil
}

func isAttended(pin string) (bool, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(versions(pin), layout, plainMapAttended), &ebpf.LoadPinOptions{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer m.Close()
	var until uint64
	if err := m.Lookup(uint32(0), &until); err != nil || until == 0 {
		return false, err
	}
	now, err := askJiffies()
	return until > now, err
}

// askJiffies returns the kernel's time in jiffies, which only a program is told.
func askJiffies() (now uint64, err error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "jiffies", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return 0, err
	}
	defer m.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "jiffies", Type: ebpf.Syscall, License: "GPL", Flags: unix.BPF_F_SLEEPABLE, Instructions: asm.Instructions{
		asm.FnJiffies64.Call(), asm.LoadMapValue(asm.R1, m.FD(), 0), asm.StoreMem(asm.R1, 0, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	if _, err := p.Run(&ebpf.RunOptions{}); err != nil {
		return 0, err
	}
	return now, m.Lookup(uint32(0), &now)
}
