// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPipeThatNobodyReads(t *testing.T) {
	if _, err := Create(pipe(t), Info{}, nil); err == nil || !strings.Contains(err.Error(), "start the reader first") {
		t.Errorf("error %v", err)
	}
}

// A reader that reads no more is waited for once, not for each chunk and not at the end.
func TestPipeThatNobodyReadsAnyMore(t *testing.T) {
	const chunks = 10 * queued // more than pipe and queue hold
	for name, n := range map[string]int{"while it runs": chunks, "at the end": queued / 2} {
		t.Run(name, func(t *testing.T) {
			path := pipe(t)
			reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			var told []error
			w, err := Create(path, Info{}, func(err error) { told = append(told, err) })
			if err != nil {
				t.Fatal(err)
			}
			w.out.stallTimeout = 200 * time.Millisecond
			for range n {
				w.total++
				w.out.write(make([]byte, chunkSize), 1)
			}
			if err := w.Close(); !errors.Is(err, errStuck) {
				t.Errorf("Close: %v", err)
			}
			if len(told) != 1 || !errors.Is(told[0], errStuck) {
				t.Errorf("told %v", told)
			}
			if s := w.Stats(); s.Lost == 0 || s.Lost+s.Events != uint64(n) || s.Bytes >= int64(n*chunkSize) {
				t.Errorf("%+v of %d chunks", s, n)
			}
		})
	}
}

// late is a pipe that nobody reads, in a process that the machine lets stand still: a write
// ends only a while after it was told to.
type late struct {
	told   chan struct{}
	closed bool
}

func (l *late) SetWriteDeadline(time.Time) error {
	close(l.told)
	return nil
}

func (l *late) Write([]byte) (int, error) {
	<-l.told
	<-time.After(time.Minute)
	return 0, os.ErrDeadlineExceeded
}

func (l *late) Close() error {
	l.closed = true
	return nil
}

// What a write has lost that ends late is counted, and the file is closed.
func TestWriteThatEndsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := &late{told: make(chan struct{})}
		w := New(pipe, Info{}, nil)
		w.total++
		w.out.write(make([]byte, chunkSize), 1)
		if err := w.Close(); !errors.Is(err, errStuck) {
			t.Errorf("Close: %v", err)
		}
		if s := w.Stats(); s.Lost != 1 || s.Events != 0 || !pipe.closed {
			t.Errorf("%+v; the file is closed: %v", s, pipe.closed)
		}
	})
}

// One that only takes its time gets everything.
func TestPipeThatIsReadSlowly(t *testing.T) {
	path := pipe(t)
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	w, err := Create(path, Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3 * queued
	read := make(chan int)
	go func() {
		total, b := 0, make([]byte, chunkSize/4)
		for {
			n, err := reader.Read(b)
			if total += n; err != nil {
				read <- total
				return
			}
		}
	}()
	for range n {
		w.total++
		w.out.write(make([]byte, chunkSize), 1)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if got := <-read; got != n*chunkSize {
		t.Errorf("%d bytes, want %d", got, n*chunkSize)
	}
}
