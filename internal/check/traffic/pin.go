// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// pinned calls do on a thread that stays on one CPU, which is the same for all. Where the scheduler
// puts two ends that wait for each other changes the time of a request, and of a stream, by more than
// anything that is measured here.
func pinned(do func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("CPUs of this thread: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < before.Count(); cpu++ {
		if before.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	one.Set(cpus[len(cpus)-1])
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("staying on one CPU: %w", err)
	}
	// The thread is used for other things afterwards.
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &before)) }()
	return do()
}
