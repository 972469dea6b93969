// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel returns a reading of the clock of which bpf_ktime_get_ns returns the time, to the
// nanosecond. That is CLOCK_MONOTONIC of the initial time namespace; a process in another
// one (Linux 5.6) sees a clock that differs from it by a constant, see time_namespaces(7).
func Kernel() (Reading, error) {
	offset, err := namespaceOffset(os.ReadFile, os.Readlink)
	if err != nil {
		return nil, fmt.Errorf("time namespace: %w", err)
	}
	return func() (uint64, error) {
		now, err := read(unix.CLOCK_MONOTONIC)
		return now - uint64(offset), err
	}, nil
}

// namespaceOffset returns by how many nanoseconds this process's CLOCK_MONOTONIC is ahead of
// that of the initial time namespace. The kernel states the offset of the namespace in which
// the children of a process will be, so it is only known if that is the process's own.
func namespaceOffset(readFile func(string) ([]byte, error), readLink func(string) (string, error)) (int64, error) {
	text, err := readFile("/proc/self/timens_offsets")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // a kernel without time namespaces
	} else if err != nil {
		return 0, err
	}
	own, err := readLink("/proc/self/ns/time")
	if err != nil {
		return 0, err
	}
	children, err := readLink("/proc/self/ns/time_for_children")
	if err != nil {
		return 0, err
	}
	if own != children {
		return 0, fmt.Errorf("this process is still outside of the namespace of its children, %s; start it with unshare --fork", children)
	}
	return monotonicOffset(string(text))
}

// monotonicOffset reads the offset of the monotonic clock from the lines of timens_offsets:
// the name of a clock, seconds and nanoseconds (proc_timens_show_offsets in the kernel's
// kernel/time/namespace.c).
func monotonicOffset(text string) (int64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "monotonic" && fields[0] != strconv.Itoa(unix.CLOCK_MONOTONIC) {
			continue
		}
		seconds, err1 := strconv.ParseInt(fields[1], 10, 64)
		ns, err2 := strconv.ParseInt(fields[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		return seconds*int64(time.Second) + ns, nil
	}
	return 0, fmt.Errorf("/proc/self/timens_offsets does not have the monotonic clock: %q", text)
}
