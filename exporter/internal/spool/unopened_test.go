// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
)

// TestCannotBeOpenedNow: what cannot be opened for a reason that passes, such as too many
// open files, is not lost.
func TestCannotBeOpenedNow(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	add(t, s, batch(1, 1000))
	path := segmentPath(t, dir)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, path); err != nil { // to itself: ELOOP
		t.Fatal(err)
	}
	if b := s.Take(); b.Payload != nil {
		t.Errorf("%v was taken", b.Count)
	}
	if got := s.Stats(); got.Queued != batch(1, 8).Count || len(got.Lost) != 0 {
		t.Errorf("%+v", got)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1}, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.Stats(); got.Queued != (exporter.Count{}) {
		t.Errorf("%+v", got)
	}
}
