// SPDX-License-Identifier: Apache-2.0

// Package disktest makes disks that are soon full, or take nothing for a while.
package disktest

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// Small returns a directory on a file system of the given size ("1m"), which is mounted
// nowhere and goes away with the test (fsmount(2), Linux 5.2). Without root the test is
// skipped.
func Small(t testing.TB, size string) string {
	t.Helper()
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.EPERM) {
		t.Skip("needs root: makes a small file system")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fs) }() // what is on it is not needed
	if err := errors.Join(unix.FsconfigSetString(fs, "size", size), unix.FsconfigCreate(fs)); err != nil {
		t.Fatal(err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(mount) }) // neither now
	return fmt.Sprintf("/proc/self/fd/%d", mount)
}
