// SPDX-License-Identifier: Apache-2.0

// Package progtime says how often BPF programs ran, and for how long. The kernel measures it only
// while somebody asks for it, which itself takes time.
package progtime

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Ran is how often a program was run, and for how long in all.
type Ran struct {
	Runs uint64
	Took time.Duration
}

// Each returns the time of one run in nanoseconds, or 0 if there was none.
func (r Ran) Each() float64 {
	if r.Runs == 0 {
		return 0
	}
	return float64(r.Took.Nanoseconds()) / float64(r.Runs)
}

// Since returns what was added since an earlier moment.
func (r Ran) Since(before Ran) Ran { return Ran{r.Runs - before.Runs, r.Took - before.Took} }

// Measure has the kernel measure all programs until stop is called.
func Measure() (stop func() error, err error) {
	c, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("asking the kernel to measure programs: %w", err)
	}
	return c.Close, nil
}

// Alone returns what the kernel's measuring takes itself: the time of a program that does nothing.
func Alone() (each time.Duration, err error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return 0, fmt.Errorf("a program that does nothing: %w", err)
	}
	defer prog.Close()
	stop, err := Measure()
	if err != nil {
		return 0, err
	}
	defer func() { _ = stop() }()
	const runs = 100_000
	if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64), Repeat: runs}); err != nil {
		return 0, err
	}
	stats, err := prog.Stats()
	if err != nil {
		return 0, err
	}
	return stats.Runtime / runs, nil
}

// Pinned returns what each program that is pinned below a directory, itself or by a link, has done so
// far, by its name.
func Pinned(dir string) (map[string]Ran, error) {
	done, seen := map[string]Ran{}, map[ebpf.ProgramID]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		prog, err := ebpf.LoadPinnedProgram(path, nil)
		if err != nil {
			if prog = attached(path); prog == nil {
				return nil // a map
			}
		}
		defer prog.Close()
		info, err := prog.Info()
		if err != nil {
			return err
		}
		if id, ok := info.ID(); ok && seen[id] {
			return nil // at another device
		} else if ok {
			seen[id] = true
		}
		stats, err := prog.Stats()
		if err != nil {
			return err
		}
		ran := done[info.Name]
		done[info.Name] = Ran{ran.Runs + stats.RunCount, ran.Took + stats.Runtime}
		return nil
	})
	return done, err
}

// attached returns the program of a link that is pinned, or nil if that is not what is there.
func attached(path string) *ebpf.Program {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return nil
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return nil
	}
	prog, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return nil
	}
	return prog
}
