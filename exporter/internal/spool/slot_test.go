// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// TestHoldTakesAQuarter: a batch that is as large as may be is held, one byte more is not,
// and a kill loses that.
func TestHoldTakesAQuarter(t *testing.T) {
	const largest = limit/4 - 48
	for size, holds := range map[int]bool{largest: true, largest + 1: false} {
		dir := t.TempDir()
		s := open(t, dir, limit)
		b := batch(1, size)
		s.Accept(b.Count)
		if err := s.Hold(b); (err == nil) != holds || err != nil && !errors.Is(err, spool.ErrDisk) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if s.Failing() {
			t.Error("the disk is said to fail")
		}
		s.Close()
		s = open(t, dir, limit)
		if left := s.Left(); (left.Payload != nil) != holds {
			t.Errorf("%d bytes: %v is in flight", size, left.Count)
		}
		if got := s.Lifetime(); (got.Lost[exporter.CauseKilled] == b.Count) == holds {
			t.Errorf("%d bytes: %+v", size, got)
		}
	}
}

// TestTakesFromItsSegment: a batch that is too large to be copied is sent from where it
// is. It stays there until it is settled, and the next process sends it otherwise.
func TestTakesFromItsSegment(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, limit)
	large, next := batch(1, limit/2), batch(2, 1000)
	add(t, s, large)
	add(t, s, next)
	if b := s.Take(); b.Count != large.Count {
		t.Errorf("took %v", b.Count)
	}
	if err := s.Postpone(large); !errors.Is(err, spool.ErrDisk) {
		t.Errorf("postponed: %v", err)
	}
	for range 3 { // no room, and nothing that may be dropped
		b := batch(9, limit/4)
		s.Accept(b.Count)
		if err := s.Append(b); err != nil && !errors.Is(err, spool.ErrDisk) {
			t.Error(err)
		} else if err != nil {
			s.Lose("test", b.Count)
		}
	}
	if got := s.Stats(); got.Lost[exporter.CauseSpoolFull] != (exporter.Count{}) || len(got.Lost) != 1 {
		t.Errorf("%+v", got)
	}
	s.Close()
	s = open(t, dir, limit)
	if left := s.Left(); left.Payload != nil {
		t.Errorf("%v is in flight", left.Count)
	}
	if got := drain(s); len(got) < 2 || got[0] != 1 || got[1] != 2 {
		t.Errorf("arrived: %v", got)
	}
}

// TestSmallerLimit: with a smaller limit than the process before had, the file of the
// batch in flight gets smaller, too, with the first batch that goes through it.
func TestSmallerLimit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 4*limit)
	large := batch(1, limit/2)
	s.Accept(large.Count)
	if err := s.Hold(large); err != nil {
		t.Fatal(err)
	}
	s.Settle(large.Count, exporter.Count{}, "")
	s.Close()
	s = open(t, dir, limit)
	if got := s.Stats().SpoolBytes; got < limit/2 {
		t.Errorf("%d bytes before", got)
	}
	small := batch(2, 1000)
	s.Accept(small.Count)
	if err := s.Hold(small); err != nil {
		t.Fatal(err)
	}
	if got, _ := usage(t, dir); got != limit/4+4096 || s.Stats().SpoolBytes != got {
		t.Errorf("%d bytes, said to be %d", got, s.Stats().SpoolBytes)
	}
	s.Close()
	s = open(t, dir, limit)
	if left := s.Left(); left.Count != small.Count {
		t.Errorf("%v is in flight", left.Count)
	}
}

// TestOldBatchIsNotInFlight: what was settled is still in the file, and is not sent again,
// not even if the account lost its latest change.
func TestOldBatchIsNotInFlight(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	one, two := batch(1, 1000), batch(2, 1000)
	s.Accept(one.Count.Plus(two.Count))
	if err := s.Hold(one); err != nil {
		t.Fatal(err)
	}
	old := read(t, dir, "inflight")
	s.Settle(one.Count, exporter.Count{}, "")
	if err := s.Hold(two); err != nil {
		t.Fatal(err)
	}
	s.Close()
	files := snap(t, dir)
	files["inflight"] = old // the later one was not written, for loss of power
	files.restore(t, dir)
	s = open(t, dir, 0)
	if left := s.Left(); left.Payload != nil {
		t.Errorf("%v is in flight", left.Count)
	}
	want := exporter.Stats{Sent: one.Count, Lost: map[exporter.Cause]exporter.Count{exporter.CauseKilled: two.Count}}
	got := s.Lifetime()
	got.SpoolBytes = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
