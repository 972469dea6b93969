// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// niceness is that of the thread: among others that are not real-time, the highest precedence.
const niceness = -20

// onThread runs fn on a thread of its own that takes precedence over others, if that is permitted,
// and tells it which way. A busy machine would otherwise let it wait for its turn.
func onThread(fn func(how string) error) error {
	done := make(chan error, 1)
	go func() {
		// It is not unlocked: the thread ends with the goroutine, so that its precedence is nobody else's.
		runtime.LockOSThread()
		done <- fn(prefer())
	}()
	return <-done
}

// prefer gives the calling thread precedence and says how.
func prefer() string {
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness); err != nil {
		return "by a thread without precedence, because that is not permitted"
	}
	return "by a thread that takes precedence"
}
