// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the CPU time that f takes on its own thread. Time in which others had the CPU
// does not count, nor does what f has other goroutines do.
func CPU(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime()
	f()
	return threadTime() - begin
}

// threadTime returns the CPU time that this thread has used.
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) // fails only for a clock that does not exist
	return time.Duration(ts.Nano())
}
