// SPDX-License-Identifier: Apache-2.0

package tenantdir

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bytesOf is an event as the kernel writes it.
func bytesOf(wd int32, mask uint32, name string) []byte {
	padded := make([]byte, (len(name)+16)/16*16)
	copy(padded, name)
	b := binary.NativeEndian.AppendUint32(nil, uint32(wd))
	b = binary.NativeEndian.AppendUint32(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(padded)))
	return append(b, padded...)
}

// still is a watcher of a directory in which nothing happens.
func still(t *testing.T) *Watcher {
	t.Helper()
	w, err := Watch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// Events that were lost may be about anything: nothing is believed to be still written,
// everything is watched anew, and the directory is read.
func TestLostEvents(t *testing.T) {
	w := still(t)
	own := w.own
	if !w.note(bytesOf(own, unix.IN_MODIFY, "red.yaml")) || len(w.Writing()) != 1 {
		t.Fatalf("being written: %v", w.Writing())
	}
	if !w.note(bytesOf(-1, unix.IN_Q_OVERFLOW, "")) || len(w.Writing()) != 0 {
		t.Errorf("being written after events were lost: %v", w.Writing())
	}
}

// A file is written from the first change until it is closed, renamed or removed, and it is
// known since when.
func TestWritten(t *testing.T) {
	w := still(t)
	for _, end := range []uint32{unix.IN_CLOSE_WRITE, unix.IN_MOVED_FROM, unix.IN_MOVED_TO, unix.IN_DELETE} {
		began := time.Now()
		w.note(append(bytesOf(w.own, unix.IN_MODIFY, "red.yaml"), bytesOf(w.own, unix.IN_MODIFY, "red.yaml")...))
		first := w.Writing()["red.yaml"]
		w.note(bytesOf(w.own, unix.IN_MODIFY, "red.yaml"))
		if at := w.Writing()["red.yaml"]; at.Before(began) || at != first {
			t.Errorf("written since %v, then %v", first, at)
		}
		w.note(bytesOf(w.own, end, "blue.yaml"))
		if len(w.Writing()) != 1 {
			t.Error("another file's end is its own")
		}
		if w.note(bytesOf(w.own, end, "red.yaml")); len(w.Writing()) != 0 {
			t.Errorf("after %#x it is still written", end)
		}
	}
}

// What happens beside the way to the directory does not matter.
func TestOthersEvents(t *testing.T) {
	w := still(t)
	for wd, name := range w.watched {
		if name != all && (w.note(bytesOf(wd, unix.IN_CREATE, name+"x")) || !w.note(bytesOf(wd, unix.IN_CREATE, name))) {
			t.Errorf("beside %s, or it itself", name)
		}
	}
	if w.note(bytesOf(9999, unix.IN_CREATE, "red.yaml")) {
		t.Error("an event of a watch that was removed")
	}
}

// No bytes make it panic.
func FuzzEvents(f *testing.F) {
	f.Add(bytesOf(1, unix.IN_MODIFY, "red.yaml"))
	f.Add(bytesOf(1, unix.IN_MODIFY, "red.yaml")[:20])
	f.Fuzz(func(_ *testing.T, b []byte) {
		for e, rest, ok := next(b); ok; e, rest, ok = next(rest) {
			_ = e
		}
	})
}
