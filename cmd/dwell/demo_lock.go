// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockDemo keeps a second demo out of the lab of the first, whose pings would count as
// its own and which would be removed under it. The kernel releases the lock when the
// process dies.
func lockDemo(prefix string) (unlock func(), err error) {
	path := "/run/" + prefix + "-demo.lock"
	for {
		f, err := tryLock(path)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another dwell demo is running with prefix %s: use --prefix", prefix)
		}
		if err != nil {
			return nil, fmt.Errorf("locking the demo: %w", err)
		}
		if f != nil {
			return func() {
				os.Remove(path) // while it is locked, so that nothing is left
				f.Close()
			}, nil
		}
	}
}

// tryLock locks the file at path. It returns nil if the file was removed meanwhile by
// its last holder, so that the lock is worth nothing.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	mine, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
		return f, nil
	}
	f.Close()
	return nil, nil
}
