// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
)

// TestDamagedRecord: of three records, whichever is damaged and in whatever part of it,
// before the spool is opened or while it is open: exactly that one is lost, and the cause
// is named.
func TestDamagedRecord(t *testing.T) {
	const size = 100
	parts := map[string]int{
		"magic": 0, "length": 5, "number": 8, "traces": 16, "before": 24,
		"payload's checksum": 41, "checksum": 46, "first byte": 48, "last byte": 48 + size - 1,
	}
	for part, at := range parts {
		for n := 1; n <= 3; n++ {
			for _, live := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s of %d, live %v", part, n, live), func(t *testing.T) {
					dir := t.TempDir()
					s := open(t, dir, 0)
					for n := 1; n <= 3; n++ {
						add(t, s, batch(n, size))
					}
					if !live {
						s.Close()
					}
					damage(t, segmentPath(t, dir), 16+(n-1)*(48+size)+at)
					if !live {
						s = open(t, dir, 0)
					}
					want := slices.Delete([]int{1, 2, 3}, n-1, n)
					if diff := cmp.Diff(want, drain(s)); diff != "" {
						t.Errorf("arrived (-want +got):\n%s", diff)
					}
					lost := map[exporter.Cause]exporter.Count{exporter.CauseSpoolCorrupt: batch(n, 8).Count}
					if got := s.Lifetime(); cmp.Diff(lost, got.Lost) != "" || got.Queued != (exporter.Count{}) {
						t.Errorf("%+v", got)
					}
				})
			}
		}
	}
}

// damage flips the bits of one byte.
func damage(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0xff
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRemovedSegment: a segment that somebody removes is lost, those before and behind it
// are not.
func TestRemovedSegment(t *testing.T) {
	for _, live := range []bool{false, true} {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprintf("%d, live %v", n, live), func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, dir, limit)
				for n := 1; n <= 3; n++ {
					add(t, s, batch(n, 70_000)) // one a segment
				}
				if !live {
					s.Close()
				}
				if err := os.Remove(fmt.Sprintf("%s/%016x.seg", dir, n)); err != nil {
					t.Fatal(err)
				}
				if !live {
					s = open(t, dir, limit)
				}
				want := slices.Delete([]int{1, 2, 3}, n-1, n)
				if diff := cmp.Diff(want, drain(s)); diff != "" {
					t.Errorf("arrived (-want +got):\n%s", diff)
				}
				got, lost := s.Lifetime(), batch(n, 8).Count
				if got.TotalLost() != lost || got.Lost[exporter.CauseSpoolCorrupt] != lost || got.Queued != (exporter.Count{}) {
					t.Errorf("%+v", got)
				}
				if used, segments := usage(t, dir); segments != 0 || got.SpoolBytes != used {
					t.Errorf("%d segments are left; %d bytes, said to be %d", segments, used, got.SpoolBytes)
				}
			})
		}
	}
}

// TestDamagedBatchInFlight: one that cannot be sent again is lost to the disk, not to the
// kill. With a damaged header its counts are unknown, and it counts as
// killed.
func TestDamagedBatchInFlight(t *testing.T) {
	for at, cause := range map[int]exporter.Cause{48: exporter.CauseSpoolCorrupt, 8: exporter.CauseKilled} {
		dir := t.TempDir()
		s := open(t, dir, 0)
		held, died := batch(1, 100), batch(2, 100)
		s.Accept(held.Count)
		if err := s.Hold(held); err != nil {
			t.Fatal(err)
		}
		s.Accept(died.Count)
		s.Close()
		damage(t, dir+"/inflight", at)
		s = open(t, dir, 0)
		if got := s.Left(); got.Payload != nil {
			t.Errorf("%v is in flight", got.Count)
		}
		want := map[exporter.Cause]exporter.Count{exporter.CauseKilled: died.Count}
		want[cause] = want[cause].Plus(held.Count)
		if got := s.Lifetime(); cmp.Diff(want, got.Lost) != "" || got.Queued != (exporter.Count{}) {
			t.Errorf("damaged at %d: %+v", at, got)
		}
	}
}

// TestBatchInFlightIsGone: it could be read when the spool was opened, and cannot when it
// is to be sent: it is lost to the disk.
func TestBatchInFlightIsGone(t *testing.T) {
	b := batch(1, 100)
	for name, damaged := range map[string]func(file []byte) []byte{
		"damaged": func(file []byte) []byte { file[48] ^= 1; return file },
		"cut off": func(file []byte) []byte { return file[:60] },
		"empty":   func([]byte) []byte { return nil },
		"of another sending": func(file []byte) []byte {
			file[8] ^= 0xff
			le.PutUint32(file[44:], castagnoli(file[:44]))
			return file
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			s.Accept(b.Count)
			if err := s.Hold(b); err != nil {
				t.Fatal(err)
			}
			s.Close()
			s = open(t, dir, 0)
			if got := s.Stats(); got.Spooled != b.Count {
				t.Errorf("opened with %+v", got)
			}
			if err := os.WriteFile(dir+"/inflight", damaged(read(t, dir, "inflight")), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if left := s.Left(); left.Payload != nil {
					t.Errorf("%v is in flight", left.Count)
				}
			}
			want := map[exporter.Cause]exporter.Count{exporter.CauseSpoolCorrupt: b.Count}
			if got := s.Stats(); cmp.Diff(want, got.Lost) != "" || got.Queued != (exporter.Count{}) || got.Spooled != (exporter.Count{}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestPayloadThatLooksLikeARecord: what is found in a payload while the next record is
// looked for is not taken for one.
func TestPayloadThatLooksLikeARecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	bait := batch(1, 100_000) // longer than the window in which is looked
	for at := 8; at+4 <= len(bait.Payload); at += 997 {
		copy(bait.Payload[at:], "DWRC")
	}
	copy(bait.Payload[64<<10-2:], "DWRC")
	add(t, s, bait)
	inner := batch(2, 1000)
	add(t, s, inner)
	add(t, s, batch(3, 1000))
	damage(t, segmentPath(t, dir), 16)
	damage(t, segmentPath(t, dir), 16+48+100_000+48+1) // and the payload of the second
	if diff := cmp.Diff([]int{3}, drain(s)); diff != "" {
		t.Errorf("arrived (-want +got):\n%s", diff)
	}
	if got := s.Lifetime(); got.Lost[exporter.CauseSpoolCorrupt] != bait.Count.Plus(inner.Count) {
		t.Errorf("%+v", got)
	}
}

// TestRecordAcrossTheWindow: the next record is found even where it begins in one piece of
// what is looked through and ends in the next.
func TestRecordAcrossTheWindow(t *testing.T) {
	const window = 64 << 10
	for into := range 5 { // bytes of what a record begins with that are in the first piece
		dir := t.TempDir()
		s := open(t, dir, 0)
		add(t, s, batch(1, 1+window-into-48))
		add(t, s, batch(2, 100))
		damage(t, segmentPath(t, dir), 16)
		if diff := cmp.Diff([]int{2}, drain(s)); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", into, diff)
		}
	}
}
