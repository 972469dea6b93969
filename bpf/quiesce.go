// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// quiescence waits until the programs have ended that are running: a CPU may be in the
// middle of one for long, where a hypervisor has taken it away.
//
// No system call does only that. But the kernel waits before it returns from an update of
// a map of maps, so that no program still uses the old inner map: maybe_wait_bpf_programs
// in kernel/bpf/syscall.c, Linux 4.15 and later. No program uses this one.
type quiescence struct{ outer, inner *ebpf.Map }

func newQuiescence() (*quiescence, error) {
	array := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	inner, err := ebpf.NewMap(array)
	if err != nil {
		return nil, fmt.Errorf("make a map: %w", err)
	}
	outer, err := ebpf.NewMap(&ebpf.MapSpec{
		Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: array,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a map of maps: %w", err), inner.Close())
	}
	return &quiescence{outer, inner}, nil
}

// wait takes some ticks of the kernel's clock, and longer on a busy machine.
func (q *quiescence) wait() error {
	if err := q.outer.Put(uint32(0), q.inner); err != nil {
		return fmt.Errorf("wait for running programs: %w", err)
	}
	return nil
}

func (q *quiescence) Close() error { return errors.Join(q.outer.Close(), q.inner.Close()) }
