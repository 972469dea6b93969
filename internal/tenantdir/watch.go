// SPDX-License-Identifier: Apache-2.0

package tenantdir

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A change is told when nothing has happened for quiet, so that a thousand files are read
// once, but no later than atMost after it began.
const (
	quiet  = 100 * time.Millisecond
	atMost = 2 * time.Second
)

// again is how often a directory is read without an event: some file systems have none, and
// a symbolic link far up the path may lead elsewhere.
const again = time.Minute

// content are the events of a directory of tenants, and way those of the directories above
// it.
const (
	way     = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	content = way | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB
)

// Watcher watches a directory, which need not exist yet. It uses inotify itself, because
// fsnotify, the usual library, does not tell when a writer has closed a file, and half of
// a tenant's file may well be valid.
type Watcher struct {
	// C receives when there may be something new.
	C <-chan struct{}

	c      chan struct{}
	dir    string
	events *os.File
	done   chan struct{}

	mu      sync.Mutex
	writing map[string]time.Time
	// watched are the names that matter in each watched directory, by watch descriptor: of the
	// last one, which is the directory itself, all do.
	watched map[int32]string
	// own is that of the directory itself, or -1.
	own int32
	err error
}

// all is the name in watched that means every one.
const all = ""

// Watch begins to watch a directory; Close ends it.
func Watch(dir string) (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: inotify: %w", dir, err)
	}
	w := &Watcher{
		c: make(chan struct{}, 1), dir: filepath.Clean(dir), events: os.NewFile(uintptr(fd), "inotify"),
		done: make(chan struct{}), writing: map[string]time.Time{},
	}
	w.C = w.c
	w.arm()
	go w.run()
	return w, nil
}

// Close ends the watch.
func (w *Watcher) Close() {
	_ = w.events.Close()
	<-w.done
}

// Writing returns the files that are being written: since when, by name.
func (w *Watcher) Writing() map[string]time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.writing)
}

// Err returns why not everything can be watched at the moment; then changes are only noticed
// when the directory is read anyway.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// arm watches the directory and those above it, as far as they exist, beginning with the
// root: what is made below one that is watched already is an event.
func (w *Watcher) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, own := w.watched, w.own
	w.watched, w.own, w.err = map[int32]string{}, -1, nil
	path := "/"
	for _, name := range append(strings.Split(strings.Trim(w.dir, "/"), "/"), all) {
		mask := uint32(way)
		if name == all {
			mask = content
		}
		wd, err := w.watch(path, mask)
		if err != nil {
			if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
				w.err = fmt.Errorf("cannot watch %s: %w", path, err)
			}
			break
		}
		w.watched[wd] = name
		if name == all {
			w.own = wd
		}
		path = filepath.Join(path, name)
	}
	for wd := range before {
		if _, still := w.watched[wd]; !still {
			w.remove(wd)
		}
	}
	if w.own != own {
		clear(w.writing) // it was in another directory
	}
}

func (w *Watcher) watch(path string, mask uint32) (int32, error) {
	var wd int
	err := w.with(func(fd int) (err error) {
		wd, err = unix.InotifyAddWatch(fd, path, mask|unix.IN_ONLYDIR)
		return err
	})
	return int32(wd), err //nolint:gosec // the kernel counts them in an int
}

// remove ends a watch, which may have ended by itself.
func (w *Watcher) remove(wd int32) {
	_ = w.with(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(wd)) //nolint:gosec // as above
		return err
	})
}

// with calls f with the descriptor, unless it is closed.
func (w *Watcher) with(f func(fd int) error) error {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// run reads events until the watch is closed.
func (w *Watcher) run() {
	defer close(w.done)
	buffer := make([]byte, 64<<10)
	// Of what is not told yet: first what was changed before the watch began.
	first, last := time.Now(), time.Now()
	for {
		until := time.Now().Add(again)
		if !first.IsZero() {
			until = earlier(last.Add(quiet), first.Add(atMost))
		}
		_ = w.events.SetReadDeadline(until) // fails only if it is closed
		n, err := w.events.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if first.IsZero() {
				w.arm()
			}
			first = time.Time{}
			w.tell()
		case err != nil:
			return
		case w.note(buffer[:n]):
			last = time.Now()
			if first.IsZero() {
				first = last
			}
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (w *Watcher) tell() {
	select {
	case w.c <- struct{}{}:
	default: // it is told already
	}
}
