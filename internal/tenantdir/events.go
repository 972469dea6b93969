// SPDX-License-Identifier: Apache-2.0

package tenantdir

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// event is one of inotify(7).
type event struct {
	wd   int32
	mask uint32
	name string
}

// next returns the first event and what follows it; ok is false if there is none.
func next(b []byte) (e event, rest []byte, ok bool) {
	if len(b) < unix.SizeofInotifyEvent {
		return e, nil, false
	}
	// struct inotify_event: wd, mask, cookie, len, name
	e.wd = int32(binary.NativeEndian.Uint32(b)) //nolint:gosec // it is one
	e.mask = binary.NativeEndian.Uint32(b[4:])
	end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
	if end > len(b) {
		return e, nil, false
	}
	name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
	e.name = string(name)
	return e, b[end:], true
}

// note takes events and reports whether one of them matters.
func (w *Watcher) note(b []byte) bool {
	matters, moved := false, false
	for e, rest, ok := next(b); ok; e, rest, ok = next(rest) {
		name, known := w.name(e.wd)
		switch {
		case e.mask&unix.IN_Q_OVERFLOW != 0:
			w.forget()
			matters, moved = true, true
		case !known: // of a watch that was removed
		case e.mask&(unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_UNMOUNT) != 0:
			matters, moved = true, true
		case name != all:
			if name == e.name {
				matters, moved = true, true
			}
		default:
			w.written(e)
			matters = true
		}
	}
	if moved {
		w.arm()
	}
	return matters
}

func (w *Watcher) name(wd int32) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name, known := w.watched[wd]
	return name, known
}

// forget is for when events were lost: what is being written is not known.
func (w *Watcher) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.writing)
}

// written keeps account of which files are being written.
func (w *Watcher) written(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.mask&unix.IN_MODIFY != 0:
		if _, ok := w.writing[e.name]; !ok {
			w.writing[e.name] = time.Now()
		}
	case e.mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE) != 0:
		delete(w.writing, e.name)
	}
}
