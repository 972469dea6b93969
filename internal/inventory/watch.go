// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// watchInterval is how often the directories are checked, at most: a few system calls in
// each, whatever the number of questions.
const watchInterval = 5 * time.Millisecond

// watch detects that a name was added to or removed from a directory, by the time of its
// last modification. inotify would report no more, and nothing about directories that do
// not exist yet.
type watch struct {
	next  atomic.Int64 // time of the next check, in ns since the Unix epoch
	count atomic.Uint64

	mu   sync.Mutex
	dirs map[string]unix.Timespec
}

func newWatch(dirs []string) *watch {
	w := &watch{dirs: make(map[string]unix.Timespec, len(dirs))}
	for _, d := range dirs {
		w.dirs[d] = modified(d)
	}
	return w
}

// generation returns a number that is another one when a name came or went.
func (w *watch) generation(now time.Time) uint64 {
	next := w.next.Load()
	if now.UnixNano() < next || !w.next.CompareAndSwap(next, now.Add(watchInterval).UnixNano()) {
		return w.count.Load()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir, before := range w.dirs {
		if m := modified(dir); m != before {
			w.dirs[dir] = m
			w.count.Add(1)
		}
	}
	return w.count.Load()
}

// modified returns when the directory was last modified, or zero if there is none.
func modified(dir string) unix.Timespec {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return unix.Timespec{}
	}
	return st.Mtim
}
