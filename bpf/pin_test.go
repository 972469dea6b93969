// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// pinTo keeps the calling goroutine on a CPU, and what the kernel does for the packets that it
// sends, until the returned function is called. ok is false if there is no such CPU for it.
func pinTo(t testing.TB, cpu int) (undo func(), ok bool) {
	t.Helper()
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if one.Set(cpu); !before.IsSet(cpu) {
		runtime.UnlockOSThread()
		return nil, false
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.SchedSetaffinity(0, &before); err != nil {
			t.Error(err)
			return // the thread ends with the goroutine
		}
		runtime.UnlockOSThread()
	}, true
}

// onOneCPU keeps the test on a CPU, so that one ring has all of its packets.
func onOneCPU(t *testing.T) {
	t.Helper()
	for cpu := range 1024 {
		if undo, ok := pinTo(t, cpu); ok {
			t.Cleanup(undo)
			return
		}
	}
	t.Fatal("no CPU may be used")
}
