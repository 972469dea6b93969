// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// silent opens a spool whose disk does not answer, and checks that this does not take long.
func silent(t *testing.T, dir string) (s *spool.Spool, l *log, answer func()) {
	t.Helper()
	l = &log{}
	gate := make(chan struct{})
	begin := time.Now()
	s = spool.OpenSilent(spool.Options{
		Spool: exporter.Spool{Dir: dir, MaxBytes: limit}, Logger: slog.New(slog.NewTextHandler(l, nil)),
	}, gate)
	if took := time.Since(begin); took != 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if !s.Failing() || !s.Pending() {
		t.Error("it is not failing")
	}
	return s, l, func() {
		close(gate)
		synctest.Wait()
	}
}

// TestSilentDisk: a disk that does not answer at the start keeps nobody waiting for long, and what it
// has is there when it does.
func TestSilentDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, limit)
		s.Accept(batch(1, 100).Count)
		if err := s.Append(batch(1, 100)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s, l, answer := silent(t, dir)
		s.Accept(batch(2, 100).Count)
		answer()
		if s.Failing() {
			t.Error("it is failing yet")
		}
		if err := s.Append(batch(2, 100)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{1, 2}, drain(s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		s.Close()
		l.expect(t, "answered", "WARN error=", "INFO left=", "INFO now")
	})
}

// TestClosedWhileSilent: a spool that is closed before its disk has answered does not keep the
// directory.
func TestClosedWhileSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, _, answer := silent(t, dir)
		begin := time.Now()
		s.Await(time.Second)
		s.Close()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("closing took %v", took)
		}
		answer()
		s = open(t, dir, limit)
		s.Close()
	})
}

// TestRefusedAfterSilence: what a disk refuses at last is tried again.
func TestRefusedAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "spool")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, answer := silent(t, dir)
		defer s.Close()
		answer()
		if !s.Failing() {
			t.Error("it is not failing any more")
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute) // of the test's own clock
		if s.Failing() {
			t.Error("it was not tried again")
		}
	})
}
