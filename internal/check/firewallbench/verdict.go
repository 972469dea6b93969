// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// verdicts measures how long dwell's programs run for a packet. The kernel measures it only where
// it is asked to, which itself takes time: so it is not asked in the rounds.
func (c *cell) verdicts(cfg config) error {
	m, ok := c.placer.(*managed)
	if !ok {
		return nil
	}
	stop, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return fmt.Errorf("asking the kernel to measure programs: %w", err)
	}
	defer stop.Close()
	for name, frames := range map[string][][]byte{verdictOne: c.packets[:1], verdictMany: c.packets[1:]} {
		sum := map[string]ran{}
		for range cfg.rounds {
			before, err := programs(m.pin())
			if err != nil {
				return err
			}
			if _, err := c.flood(context.Background(), frames, cfg.packets); err != nil {
				return err
			}
			after, err := programs(m.pin())
			if err != nil {
				return err
			}
			spent := time.Duration(0)
			for program, now := range after {
				runs, took := now.runs-before[program].runs, now.took-before[program].took
				sum[program] = ran{sum[program].runs + runs, sum[program].took + took}
				spent += took
			}
			c.samples[name] = append(c.samples[name], spent/time.Duration(cfg.packets-cfg.packets%traffic.Batch))
		}
		c.programs[name] = sum
	}
	return nil
}

// measuring returns what the kernel's measuring alone takes: the time of a program that does nothing.
func measuring() (time.Duration, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return 0, err
	}
	defer prog.Close()
	stop, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return 0, err
	}
	defer stop.Close()
	const runs = 100_000
	if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, ethLen+ipLen), Repeat: runs}); err != nil {
		return 0, err
	}
	stats, err := prog.Stats()
	if err != nil {
		return 0, err
	}
	return stats.Runtime / runs, nil
}

// ran is how often a program was run, and for how long in all.
type ran struct {
	runs uint64
	took time.Duration
}

// programs returns what each program that is pinned below a directory has done so far, by its name.
func programs(dir string) (map[string]ran, error) {
	done := map[string]ran{}
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
		stats, err := prog.Stats()
		if err != nil {
			return err
		}
		done[info.Name] = ran{stats.RunCount, stats.Runtime}
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
