// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
)

// TestPostpone: a batch in flight goes behind the others, whether it came from memory
// or from the spool.
func TestPostpone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	fresh := batch(1, 1000)
	s.Accept(fresh.Count)
	if err := s.Hold(fresh); err != nil {
		t.Fatal(err)
	}
	add(t, s, batch(2, 1000))
	add(t, s, batch(3, 1000))
	if err := s.Postpone(fresh); err != nil {
		t.Fatal(err)
	}
	if err := s.Postpone(s.Take()); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Spooled != got.Queued || len(got.Lost) != 0 {
		t.Errorf("%+v", got)
	}
	s.Close()
	s = open(t, dir, 0)
	if diff := cmp.Diff([]int{3, 1, 2}, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.Lifetime(); got.Queued != (exporter.Count{}) || len(got.Lost) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestKilledWhilePostponing: the record is written and the account is not. The batch is
// sent once and counted once.
func TestKilledWhilePostponing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	b := batch(1, 1000)
	s.Accept(b.Count)
	if err := s.Hold(b); err != nil {
		t.Fatal(err)
	}
	add(t, s, batch(2, 1000))
	before, err := os.ReadFile(filepath.Join(dir, "account"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Postpone(b); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "account"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 0)
	if diff := cmp.Diff([]int{2, 1}, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := exporter.Stats{Sent: b.Count.Plus(batch(2, 8).Count), Lost: map[exporter.Cause]exporter.Count{}}
	got := s.Lifetime()
	got.SpoolBytes = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPostponeInAFullSpool: the batch in flight is the oldest and makes room.
func TestPostponeInAFullSpool(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	b := batch(1, 200_000)
	s.Accept(b.Count)
	if err := s.Hold(b); err != nil {
		t.Fatal(err)
	}
	rest := exporter.Count{}
	for n := 2; n <= 8; n++ {
		add(t, s, batch(n, 100_000))
		rest = rest.Plus(batch(n, 8).Count)
	}
	if err := s.Postpone(b); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Lost[exporter.CauseSpoolFull] != b.Count || got.Queued != rest || got.Spooled != rest || got.SpoolBytes > 1<<20 {
		t.Errorf("%+v", got)
	}
}

// TestPostponeTheNewestInAFullSpool: a batch from memory that came after what is in the
// spool costs the oldest of that.
func TestPostponeTheNewestInAFullSpool(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	for n := 1; n <= 8; n++ {
		add(t, s, batch(n, 100_000))
	}
	b := batch(9, 200_000)
	s.Accept(b.Count)
	if err := s.Hold(b); err != nil {
		t.Fatal(err)
	}
	if err := s.Postpone(b); err != nil {
		t.Fatal(err)
	}
	lost := batch(1, 8).Count.Plus(batch(2, 8).Count) // as much as the batch is long
	if got := s.Stats(); got.Lost[exporter.CauseSpoolFull] != lost || got.Spooled != got.Queued || got.SpoolBytes > 1<<20 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]int{3, 4, 5, 6, 7, 8, 9}, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
