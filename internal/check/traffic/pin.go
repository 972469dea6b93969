// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// place says on which CPU an end of a connection runs. Where the scheduler puts two ends that wait
// for each other changes the time of a request by more than anything that is measured here.
type place int

const (
	together place = iota // with the other end
	apart                 // not with the other end, if there are two CPUs
)

// pinned calls do on a thread that stays on one CPU.
func pinned(where place, do func() error) (err error) {
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
	if where == apart {
		one.Zero()
		one.Set(cpus[0])
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("staying on one CPU: %w", err)
	}
	// The thread is used for other things afterwards.
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &before)) }()
	return do()
}
