// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is the CPU time of a process up to a time.
type usage struct {
	at           time.Time
	user, system time.Duration
}

// usageOf returns that of a process, from its CPU clock, which counts nanoseconds. How much of it was
// in the kernel is known to 10 ms: /proc/PID/stat.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	user, system, err := ticks(string(stat))
	if err != nil {
		return usage{}, err
	}
	// As clock_getcpuclockid(3) makes it: MAKE_PROCESS_CPUCLOCK of the kernel's posix-timers_types.h.
	const scheduled = 2
	var total unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &total); err != nil {
		return usage{}, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	u := usage{at: time.Now(), user: time.Duration(total.Nano())}
	if sum := user + system; sum > 0 {
		u.system = time.Duration(float64(total.Nano()) * float64(system) / float64(sum))
		u.user -= u.system
	}
	return u, nil
}

// ticks returns the fields utime and stime of a process's stat, see proc_pid_stat(5).
func ticks(stat string) (user, system uint64, err error) {
	const utime, stime = 14 - 3, 15 - 3 // the command's name, field 2, may have spaces
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= stime {
		return 0, 0, fmt.Errorf("no CPU time in %q", stat)
	}
	if user, err = strconv.ParseUint(fields[utime], 10, 64); err == nil {
		system, err = strconv.ParseUint(fields[stime], 10, 64)
	}
	return user, system, err
}
