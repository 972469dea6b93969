// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
)

// TestSegmentsRotate: one segment is a sixteenth of the limit; each is removed as soon as
// all in it was taken; a process begins its own. Their numbers are hexadecimal.
func TestSegmentsRotate(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 4*limit)
	for n := 1; n <= 36; n++ {
		add(t, s, batch(n, 4*limit/32)) // two a segment
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) != 15 && len(names) != 16 || filepath.Base(names[len(names)-1]) != "0000000000000012.seg" {
		t.Errorf("segments %q, error %v", names, err)
	}
	s.Close()
	s = open(t, dir, 4*limit)
	add(t, s, batch(37, 8))
	if got, err := filepath.Glob(filepath.Join(dir, "*13.seg")); err != nil || len(got) != 1 {
		t.Errorf("the next process has begun %q, error %v", got, err)
	}
	_, left := usage(t, dir)
	for !s.Empty() {
		n := le.Uint64(s.Take().Payload)
		if n%2 == 0 && n < 37 { // the second of its segment
			left--
		}
		if n == 37 {
			left = 0
		}
		if _, segments := usage(t, dir); segments != left {
			t.Errorf("when %d was taken there are %d segments, want %d", n, segments, left)
		}
		s.Settle(batch(int(n), 8).Count, exporter.Count{}, "")
	}
}

// TestLargeSegments: with a large limit a segment is no larger than 16 MiB, so that not too
// much is dropped at once.
func TestLargeSegments(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<30)
	add(t, s, batch(1, 16<<20))
	add(t, s, batch(2, 8))
	if _, segments := usage(t, dir); segments != 2 {
		t.Errorf("%d segments", segments)
	}
}

// TestLimitIsExact: the last byte may be used, and one more makes room.
func TestLimitIsExact(t *testing.T) {
	const account, start, header = 4096, 16, 48
	for more, want := range map[int][]int{0: {1, 2, 3}, 1: {2, 3}} {
		s := open(t, t.TempDir(), limit)
		room := limit - account
		for n := 1; n <= 2; n++ { // each in a segment of its own
			add(t, s, batch(n, 100_000))
			room -= start + header + 100_000
		}
		add(t, s, batch(3, room-start-header+more))
		if got := s.Stats().SpoolBytes; more == 0 && got != limit {
			t.Errorf("%d bytes", got)
		}
		if diff := cmp.Diff(want, drain(s)); diff != "" {
			t.Errorf("%d bytes more (-want +got):\n%s", more, diff)
		}
	}
}

// TestLargestBatch: one that takes all there is is kept, alone; with a byte more it is
// lost, alone.
func TestLargestBatch(t *testing.T) {
	const largest = limit - 4096 - 16 - 48
	for size, want := range map[int][]int{largest: {2}, largest + 1: {1}} {
		s := open(t, t.TempDir(), limit)
		add(t, s, batch(1, 1000))
		add(t, s, batch(2, size))
		if got := s.Stats(); got.SpoolBytes > limit || got.Lost[exporter.CauseSpoolFull] != batch(3-want[0], 8).Count {
			t.Errorf("%d bytes: %+v", size, got)
		}
		if diff := cmp.Diff(want, drain(s)); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", size, diff)
		}
	}
}
