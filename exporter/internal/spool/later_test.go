// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/internal/check/disktest"
)

// anyhow opens a spool that need not be usable.
func anyhow(dir string, l *log) *spool.Spool {
	return spool.OpenAnyhow(spool.Options{
		Spool: exporter.Spool{Dir: dir, MaxBytes: limit}, Logger: slog.New(slog.NewTextHandler(l, nil)),
	})
}

// eventually waits for a condition that will come if nothing is broken.
func eventually(t rapid.TB, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(2 * time.Minute)
	for !cond() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("%s: not within two minutes", what)
		}
	}
}

// TestUsableLater: whatever keeps a spool from being opened is a warning, says that the spool
// is failing, and ends when it is mended, with no other word than that.
func TestUsableLater(t *testing.T) {
	for name, broken := range map[string]func(*testing.T) (dir string, mend func()){
		"a file in place of the directory": func(t *testing.T) (string, func()) {
			dir := filepath.Join(t.TempDir(), "spool")
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir, func() { _ = os.Remove(dir) }
		},
		"the directory above is missing": func(t *testing.T) (string, func()) {
			above := filepath.Join(t.TempDir(), "above")
			if err := os.Symlink(above+"-not-mounted", above); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(above, "spool"), func() { _ = os.Mkdir(above+"-not-mounted", 0o700) }
		},
		"a read-only mount": func(t *testing.T) (string, func()) { return disktest.ReadOnly(t) },
		"a full disk":       func(t *testing.T) (string, func()) { return disktest.Full(t) },
		"a later version": func(t *testing.T) (string, func()) {
			dir := t.TempDir()
			open(t, dir, 0).Close()
			if err := spool.Upgrade(dir); err != nil {
				t.Fatal(err)
			}
			return dir, func() { _ = os.Remove(filepath.Join(dir, "account")) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, mend := broken(t)
			l := &log{}
			s := anyhow(dir, l)
			defer s.Close()
			if stats := s.Stats(); !s.Failing() || stats.SpoolsFailing != 1 || !s.Empty() || stats.SpoolBytes != 0 {
				t.Errorf("%+v", stats)
			}
			b := batch(1, 100)
			s.Accept(b.Count)
			if s.Hold(b) == nil || s.Append(b) == nil || s.Postpone(b) == nil || s.Take().Payload != nil {
				t.Error("it was written, or read")
			}
			mend()
			eventually(t, "an open spool", func() bool { return !s.Failing() })
			if err := s.Append(b); err != nil {
				t.Error(err)
			}
			s.Close()
			s = open(t, dir, limit)
			if diff := cmp.Diff([]int{1}, drain(s)); diff != "" || s.Stats().Recovered != b.Count {
				t.Errorf("%+v (-want +got):\n%s", s.Stats(), diff)
			}
			l.expect(t, "mended", "WARN error=", "INFO now")
		})
	}
}

// TestAccountGoesOn: whatever is done before the files are open is in the account on disk
// afterwards, together with what an earlier process has left in it, whatever that was.
func TestAccountGoesOn(t *testing.T) {
	above := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir := filepath.Join(above, "spool")
		defer os.RemoveAll(dir)
		records, flight := rapid.IntRange(0, 5).Draw(t, "records"), rapid.Bool().Draw(t, "in flight")
		var want []int
		earlier, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= records; n++ {
			earlier.Accept(batch(n, 100).Count)
			if err := earlier.Append(batch(n, 100)); err != nil {
				t.Fatal(err)
			}
			want = append(want, n)
		}
		if flight {
			earlier.Accept(batch(6, 100).Count)
			if err := earlier.Hold(batch(6, 100)); err != nil {
				t.Fatal(err)
			}
			want = append(want, 6)
		}
		left := earlier.Stats().Queued

		s := anyhow(dir, &log{}) // in use
		defer func() { _ = s.Close() }()
		var in, sent, lost, memory exporter.Count
		for n := range rapid.IntRange(0, 8).Draw(t, "more") {
			b := batch(10+n, 100)
			in = in.Plus(b.Count)
			switch rapid.SampledFrom([]string{"sent", "lost", "refused", "waits"}).Draw(t, "fate") {
			case "sent":
				s.Accept(b.Count)
				_ = s.Hold(b) // there are no files
				s.Settle(b.Count, exporter.Count{}, "")
				sent = sent.Plus(b.Count)
			case "lost":
				s.Accept(b.Count)
				s.Lose(exporter.CauseSpoolWrite, b.Count)
				lost = lost.Plus(b.Count)
			case "refused":
				s.Refuse(exporter.CauseQueueFull, b.Count)
				lost = lost.Plus(b.Count)
			case "waits":
				s.Accept(b.Count)
				memory = memory.Plus(b.Count)
			}
		}
		earlier.Close()
		s.Await(time.Minute)
		stats := s.Stats()
		if stats.Recovered != left || stats.Sent != sent || stats.TotalLost() != lost || stats.Queued != left.Plus(memory) || stats.Spooled != left {
			t.Fatalf("%v left, %v came, of which %v sent, %v lost: %+v", left, in, sent, lost, stats)
		}
		s.Lose(exporter.CauseSpoolWrite, memory)
		s.Close()

		next, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = next.Close() }()
		if life := next.Lifetime(); life.Sent != sent || life.TotalLost() != lost.Plus(memory) || life.Queued != left {
			t.Fatalf("on disk: %+v", life)
		}
		if got := drain(next); !slices.Equal(got, want) {
			t.Fatalf("%v are there, want %v", got, want)
		}
	})
}

// TestOpenedWhileSending: a batch that is being sent from memory while the files are opened is
// settled as any other, or put behind those that were found.
func TestOpenedWhileSending(t *testing.T) {
	for _, postponed := range []bool{false, true} {
		dir := t.TempDir()
		earlier := open(t, dir, limit)
		add(t, earlier, batch(1, 100))
		s := anyhow(dir, &log{})
		b := batch(2, 100)
		s.Accept(b.Count)
		_ = s.Hold(b) // there are no files
		earlier.Close()
		s.Await(time.Minute)
		want := []int{1}
		if postponed {
			want = append(want, 2)
			if err := s.Postpone(b); err != nil {
				t.Fatal(err)
			}
		} else {
			s.Settle(b.Count, exporter.Count{}, "")
		}
		var got []int
		for !s.Empty() {
			b := s.Take()
			got = append(got, int(binary.LittleEndian.Uint64(b.Payload)))
			s.Settle(b.Count, exporter.Count{}, "")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("postponed %t (-want +got):\n%s", postponed, diff)
		}
		if stats := s.Stats(); stats.Queued != (exporter.Count{}) || stats.Sent != batch(1, 8).Count.Plus(b.Count) || len(stats.Lost) > 0 {
			t.Errorf("postponed %t: %+v", postponed, stats)
		}
		s.Close()
	}
}

// TestOldestMakesRoom: what was found when the files were opened is older than what is being
// sent from memory, and makes room for it when that is postponed.
func TestOldestMakesRoom(t *testing.T) {
	dir := t.TempDir()
	earlier := open(t, dir, limit)
	for n := 1; n <= 12; n++ { // more than there is room for
		add(t, earlier, batch(n, 120_000))
	}
	s := anyhow(dir, &log{})
	b := batch(20, 120_000)
	s.Accept(b.Count)
	_ = s.Hold(b) // there are no files
	earlier.Close()
	s.Await(time.Minute)
	if err := s.Postpone(b); err != nil {
		t.Fatal(err)
	}
	if got := drain(s); len(got) < 5 || got[len(got)-1] != 20 {
		t.Errorf("%v are there, and 20 not the last of them", got)
	}
	s.Close()
}

// TestClosedBeforeItOpened: the directory is then left alone.
func TestClosedBeforeItOpened(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, limit)
	l := &log{}
	s := anyhow(dir, l)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s.Await(time.Minute) // must not wait that long
	first.Close()
	add(t, open(t, dir, limit), batch(1, 100))
	l.expect(t, "after an earlier spool of this process")
}
