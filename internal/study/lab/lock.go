// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps two processes from making or removing labs of one prefix at the same
// time. The kernel releases it when the process dies.
func lock(ctx context.Context, prefix string) (unlock func(), err error) {
	path := "/run/" + prefix + "-lab.lock"
	type result struct {
		f   *os.File
		err error
	}
	got := make(chan result, 1)
	go func() {
		f, err := flock(ctx, path)
		got <- result{f, err}
	}()
	select {
	case r := <-got:
		if errors.Is(r.err, fs.ErrPermission) {
			return nil, fmt.Errorf("dwell lab needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN): try sudo: %w", r.err)
		}
		if r.err != nil {
			return nil, fmt.Errorf("locking labs: %w", r.err)
		}
		return func() { release(path, r.f) }, nil
	case <-ctx.Done():
		// flock cannot be cancelled: release the lock as soon as it is ours.
		go func() {
			if r := <-got; r.err == nil {
				release(path, r.f)
			}
		}()
		return nil, waited(ctx)
	}
}

func waited(ctx context.Context) error {
	return fmt.Errorf("waiting for another dwell lab to finish: %w", context.Cause(ctx))
}

// flock locks the file that is at path once the lock is held: the one that was
// there before may have been removed by its last holder.
func flock(ctx context.Context, path string) (*os.File, error) {
	for ctx.Err() == nil {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := retryEINTR(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) }); err != nil {
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
	}
	return nil, waited(ctx)
}

// release removes the file while the lock is held, so that nothing is left.
func release(path string, f *os.File) {
	os.Remove(path)
	f.Close()
}

func retryEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
