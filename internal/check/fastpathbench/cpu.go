// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// busy returns how long this process and the kernel's threads that forward packets have kept CPUs
// busy. The sender and the receiver are threads of this process, and most packets are forwarded in
// their time. What others on the machine do is not in it.
func busy() (time.Duration, error) {
	total, err := clockOf(unix.CLOCK_PROCESS_CPUTIME_ID)
	if err != nil {
		return 0, err
	}
	threads, err := softirqThreads()
	if err != nil {
		return 0, err
	}
	for _, pid := range threads {
		// The clock of a process (clock_getcpuclockid(3)): its number inverted, and 2 for the time
		// that the scheduler counts.
		spent, err := clockOf(int32(^pid<<3 | 2)) //nolint:gosec // as the kernel has it
		if err != nil {
			return 0, err
		}
		total += spent
	}
	return total, nil
}

func clockOf(clock int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("CPU time of clock %d: %w", clock, err)
	}
	return time.Duration(t.Nano()), nil
}

// softirqThreads returns the process numbers of the kernel's ksoftirqd.
func softirqThreads() ([]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || !bytes.HasPrefix(comm, []byte("ksoftirqd/")) {
			continue // ended meanwhile, or another
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
