// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// TestStrayFile: a file that has nearly the name of a segment is left alone.
func TestStrayFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "1.seg"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 0)
	add(t, s, batch(1, 100))
	if diff := cmp.Diff([]int{1}, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "1.seg")); string(b) != "mine" {
		t.Errorf("the file is %q, error %v", b, err)
	}
}

// TestSymbolicLinks: nothing is written through a link that somebody else has put into a
// directory that others may write to.
func TestSymbolicLinks(t *testing.T) {
	for _, name := range []string{"lock", "inflight", "account", "0000000000000001.seg"} {
		dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}}); err == nil {
			t.Errorf("%s: no error", name)
			s.Close()
		}
		if b, err := os.ReadFile(victim); string(b) != "precious" {
			t.Errorf("%s: the file is %q, error %v", name, b, err)
		}
	}
}
