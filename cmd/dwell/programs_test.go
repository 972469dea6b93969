// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// programs returns the IDs of all BPF programs in the kernel.
func programs(t *testing.T) map[ebpf.ProgramID]bool {
	t.Helper()
	ids := map[ebpf.ProgramID]bool{}
	for id := ebpf.ProgramID(0); ; ids[id] = true {
		var err error
		if id, err = ebpf.ProgramGetNextID(id); err != nil {
			return ids
		}
	}
}

// checkProgramsGone fails if programs that were not there before stay in the kernel,
// which frees them a moment after the process is gone. Ours are among those that are there
// now; those that a living process has are another's, which may load some meanwhile.
func checkProgramsGone(t *testing.T, before map[ebpf.ProgramID]bool) {
	t.Helper()
	left := programs(t)
	maps.DeleteFunc(left, func(id ebpf.ProgramID, _ bool) bool { return before[id] })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); len(left) > 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("programs %v left in the kernel", slices.Sorted(maps.Keys(left)))
		}
		now, others := programs(t), programsOfOthers(t)
		maps.DeleteFunc(left, func(id ebpf.ProgramID, _ bool) bool { return !now[id] || others[id] })
	}
}

// programsOfOthers returns the programs of which another process has a descriptor, or one
// of a link to them; see proc_pid_fdinfo(5).
func programsOfOthers(t *testing.T) map[ebpf.ProgramID]bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	own, ids := "/proc/"+pid()+"/", map[ebpf.ProgramID]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.HasPrefix(file, own) {
			continue // it was closed since, or is ours
		}
		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(line, "prog_id:"); found {
				if id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil {
					ids[ebpf.ProgramID(id)] = true
				}
			}
		}
	}
	return ids
}
