// SPDX-License-Identifier: Apache-2.0

package daemon

import "context"

// change is a change of what is in force, prepared by a goroutine of its own: files are read
// and opened for it, which may take as long as a disk likes, and shutting down must not wait for
// that. The main loop makes it, which waits for nothing.
type change struct {
	make func(ctx context.Context)
	// drop closes what was opened for a change that is not made.
	drop func()
}

// prepare has a change prepared, which must only read what the main loop owns. If ctx is done
// before the change is there, it is dropped whenever that may be.
func prepare(ctx context.Context, read func() change) <-chan change {
	out := make(chan change)
	go func() {
		c := read()
		select {
		case out <- c:
		case <-ctx.Done():
			c.drop()
		}
	}()
	return out
}

// nothing is for changes that opened nothing.
func nothing() {}
