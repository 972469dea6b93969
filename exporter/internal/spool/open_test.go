// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// TestOpenFails: what is in the way is named, with the directory, nothing of it is
// changed, and once it is out of the way the spool can be used, because no lock is left.
func TestOpenFails(t *testing.T) {
	for _, name := range []string{"lock", "account", "inflight", "0000000000000007.seg"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			inTheWay := filepath.Join(dir, name)
			if err := os.Mkdir(inTheWay, 0o700); err != nil {
				t.Fatal(err)
			}
			err := refusedIn(dir)
			if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), name) {
				t.Errorf("Open: %v", err)
			}
			if info, err := os.Stat(inTheWay); err != nil || !info.IsDir() {
				t.Errorf("%v, error %v", info, err)
			}
			if err := errors.Join(os.Remove(inTheWay), refusedIn(dir)); err != nil {
				t.Errorf("out of the way: %v", err)
			}
		})
	}
}

// TestDirectoryIsAFile: the error is that of the system, and the file stays.
func TestDirectoryIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if err := refusedIn(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if b, err := os.ReadFile(file); string(b) != "mine" {
		t.Errorf("the file is %q, error %v", b, err)
	}
}

// TestForeignFiles: whatever else is in the directory is neither read nor changed nor
// removed, and a file whose name is nearly that of a segment is no segment.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	foreign := snapshot{}
	for _, name := range []string{
		"README", ".seg", "seg", "000000000000000A.seg", "0000000000000001.seg~", "00000000000000001.seg",
		"000000000000001.seg", "+000000000000001.seg", "0x00000000000001.seg", "zzzzzzzzzzzzzzzz.seg", "account.bak",
	} {
		foreign[name] = []byte("mine: " + name)
	}
	foreign.restore(t, dir)
	for range 2 { // a process, and the next
		s := open(t, dir, limit)
		for n := 1; n <= 20; n++ {
			add(t, s, batch(n, 100_000))
		}
		if got := drain(s); len(got) < 5 || got[len(got)-1] != 20 {
			t.Errorf("arrived: %v", got)
		}
		if got := s.Stats().SpoolBytes; got > limit/8 {
			t.Errorf("%d bytes are counted", got)
		}
		s.Close()
	}
	now := snap(t, dir)
	for _, ours := range []string{"lock", "account", "inflight"} {
		delete(now, ours)
	}
	if diff := cmp.Diff(foreign, now); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// TestModes: what is made is for this user only, whatever the directory above is; one
// that is there already stays as it is.
func TestModes(t *testing.T) {
	above := filepath.Join(t.TempDir(), "above")
	if err := errors.Join(os.Mkdir(above, 0o755), os.Chmod(above, 0o755)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above, "new", "spool")
	s := open(t, dir, 0)
	add(t, s, batch(1, 10))
	want := map[string]os.FileMode{
		above: 0o755, filepath.Dir(dir): 0o700, dir: 0o700,
		dir + "/lock": 0o600, dir + "/account": 0o600, dir + "/inflight": 0o600, segmentPath(t, dir): 0o600,
	}
	for path, mode := range want {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, error %v", path, info.Mode(), err)
		}
	}
}

// TestDefaultLimit: no limit means the default, and one that is too small the least.
func TestDefaultLimit(t *testing.T) {
	for limited, want := range map[int64]bool{0: false, -1: false, 1: true, 10 << 20: false} {
		s := open(t, t.TempDir(), limited)
		for n := 1; n <= 4; n++ {
			add(t, s, batch(n, 400_000))
		}
		if lost := s.Stats().Lost[exporter.CauseSpoolFull] != (exporter.Count{}); lost != want {
			t.Errorf("limit %d: %+v", limited, s.Stats())
		}
		s.Close()
	}
}

// TestCloseTwice: the second does nothing, and does not take the directory from the process
// that has it by then.
func TestCloseTwice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	next := open(t, dir, 0)
	add(t, next, batch(1, 10))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := refusedIn(dir); !errors.Is(err, spool.ErrInUse) {
		t.Errorf("Open beside the second: %v", err)
	}
	if diff := cmp.Diff([]int{1}, drain(next)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
