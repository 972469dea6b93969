// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/internal/check/disktest"
)

// TestFullDiskDrains: on a disk on which there is no room even for the batch in flight,
// batches are sent from where they are. One that is being sent in a process that ends is
// sent by the next one.
func TestFullDiskDrains(t *testing.T) {
	dir := disktest.Small(t, "1m")
	s := open(t, dir, 0)
	want := fillDisk(t, s)
	first := s.Take()
	if first.Count != batch(1, 8).Count || s.Stats().Spooled != s.Stats().Queued {
		t.Errorf("%v was taken; %+v", first.Count, s.Stats())
	}
	s.Close()
	s = open(t, dir, 0)
	if diff := cmp.Diff(want, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.Lifetime(); len(want) < 40 || len(got.Lost) != 1 || got.Queued != (exporter.Count{}) || s.Failing() {
		t.Errorf("%d batches: %+v; failing is %v", len(want), got, s.Failing())
	}
}

// TestFullDiskIsFreedByTheLast: when the last batch of a full disk was sent, what it took
// is free at once, and not only when somebody asks for another.
func TestFullDiskIsFreedByTheLast(t *testing.T) {
	dir := disktest.Small(t, "1m")
	s := open(t, dir, 0)
	for range fillDisk(t, s) {
		s.Settle(s.Take().Count, exporter.Count{}, "")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if got := s.Stats(); err != nil || len(left) > 0 || got.SpoolBytes > 40_000 || s.Failing() || !s.Empty() {
		t.Errorf("%v is left, error %v; failing is %v: %+v", left, err, s.Failing(), got)
	}
}

// fillDisk appends batches until the disk takes no more, and returns their numbers.
func fillDisk(t *testing.T, s *spool.Spool) (taken []int) {
	t.Helper()
	for n := 1; ; n++ {
		b := batch(n, 20_000)
		s.Accept(b.Count)
		err := s.Append(b)
		if err == nil {
			taken = append(taken, n)
			continue
		}
		if !errors.Is(err, spool.ErrDisk) || !s.Failing() {
			t.Errorf("%v; failing is %v", err, s.Failing())
		}
		s.Lose("test", b.Count)
		return taken
	}
}

// TestKilledWhileAppending: of a record that is not whole the rest is cut off, and its
// traces count as killed; one that is whole and not yet in the account is found.
func TestKilledWhileAppending(t *testing.T) {
	one, two := batch(1, 5000), batch(2, 5000)
	for _, tt := range []struct {
		name string
		// torn is how much of the second record is written, 0 for all of it.
		torn   int64
		want   []int
		killed exporter.Count
	}{
		{"a torn payload", 1000, []int{1}, two.Count},
		{"a torn header", 10, []int{1}, two.Count},
		{"whole", 0, []int{1, 2}, exporter.Count{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			add(t, s, one)
			s.Accept(two.Count)
			before, err := os.ReadFile(filepath.Join(dir, "account"))
			if err != nil {
				t.Fatal(err)
			}
			whole := segmentSize(t, dir)
			if err := s.Append(two); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if err := os.WriteFile(filepath.Join(dir, "account"), before, 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.torn > 0 {
				if err := os.Truncate(segmentPath(t, dir), whole+tt.torn); err != nil {
					t.Fatal(err)
				}
			}
			s = open(t, dir, 0)
			if got := segmentSize(t, dir); tt.torn > 0 && got != whole {
				t.Errorf("the segment has %d bytes, want %d", got, whole)
			}
			if diff := cmp.Diff(tt.want, drain(s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := s.Lifetime(); got.TotalLost() != tt.killed || got.Lost[exporter.CauseKilled] != tt.killed {
				t.Errorf("%+v", got)
			}
		})
	}
}

func segmentPath(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments %v, error %v", names, err)
	}
	return names[0]
}

func segmentSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(segmentPath(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestForeignDirectory: a file that happens to be called account is not overwritten.
func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	text := []byte("what I owe to whom")
	if err := os.WriteFile(filepath.Join(dir, "account"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if err == nil || !strings.Contains(err.Error(), "directory of its own") {
		t.Errorf("Open: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "account")); err != nil || !slices.Equal(got, text) {
		t.Errorf("the file is %q, error %v", got, err)
	}
}
