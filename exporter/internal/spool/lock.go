// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned by Open for a directory that another spool has open.
var ErrInUse = errors.New("in use")

// inUseError names the process that has the directory.
type inUseError struct{ pid string }

// Error implements error.
func (e inUseError) Error() string {
	return fmt.Sprintf("%v by process %s; give every dwell a directory of its own", ErrInUse, e.pid)
}

// Is reports whether the error is one of that kind.
func (e inUseError) Is(target error) bool { return target == ErrInUse }

// ours reports whether it is this process that has the directory.
func (e inUseError) ours() bool { return e.pid == strconv.Itoa(os.Getpid()) }

const (
	directoryMode = 0o700
	fileMode      = 0o600
)

// lockDirectory takes the directory for this process until the file is closed. The kernel
// releases it when the process dies.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("flock: %w", err)
		}
		return nil, inUseError{owner(f)}
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, err
	}
	_, _ = fmt.Fprintln(f, os.Getpid()) // only for the message above
	return f, nil
}

// unlockDirectory releases the directory. Closing the file is not enough while a child
// that was just forked has it open, too, until it executes another program.
func unlockDirectory(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

func owner(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return pid
	}
	return "unknown"
}
