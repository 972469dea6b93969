// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/internal/check/disktest"
)

// log is what a spool has logged.
type log struct {
	mu    sync.Mutex
	lines []string
}

// Write implements [io.Writer]; slog calls it once a line.
func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	return len(line), nil
}

// take returns the lines since the last call: their level and all that they say.
func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// expect fails unless exactly those lines came, each with a level and a word, mostly
// of an attribute: messages may be reworded.
func (l *log) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	got := l.take()
	if len(got) != len(want) {
		t.Errorf("%s: logged %q, want %q", when, got, want)
		return
	}
	for i, w := range want {
		level, word, _ := strings.Cut(w, " ")
		if !strings.Contains(got[i], "level="+level+" ") || !strings.Contains(got[i], word) || !strings.Contains(got[i], "spool=") {
			t.Errorf("%s: logged %q, want %q", when, got[i], w)
		}
	}
}

func openLogged(t *testing.T, dir string, maxBytes int64) (*spool.Spool, *log) {
	t.Helper()
	l := &log{}
	s, err := spool.Open(spool.Options{
		Spool:  exporter.Spool{Dir: dir, MaxBytes: maxBytes},
		Logger: slog.New(slog.NewTextHandler(l, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // mostly closed before
	return s, l
}

// TestLogWithoutTrouble: nothing is logged but what an earlier process has left.
func TestLogWithoutTrouble(t *testing.T) {
	dir := t.TempDir()
	s, l := openLogged(t, dir, 0)
	add(t, s, batch(1, 100))
	s.Accept(batch(2, 100).Count)
	s.Close()
	l.expect(t, "first")
	s, l = openLogged(t, dir, 0)
	l.expect(t, "second", "INFO killed=")
	drain(s)
	s.Close()
	l.expect(t, "second, until the end")
	_, l = openLogged(t, dir, 0)
	l.expect(t, "third")
}

// TestLogOfTheLimit: that it is reached is logged once, and so is that the spool is empty again.
func TestLogOfTheLimit(t *testing.T) {
	s, l := openLogged(t, t.TempDir(), limit)
	for n := 1; n <= 30; n++ {
		add(t, s, batch(n, 100_000))
	}
	l.expect(t, "over the limit", "WARN limit_bytes=1048576")
	drain(s)
	l.expect(t, "drained", "INFO lost=")
}

// TestLogOfDamage: each part that is lost is logged with its counts.
func TestLogOfDamage(t *testing.T) {
	dir := t.TempDir()
	s, l := openLogged(t, dir, 0)
	for n := 1; n <= 3; n++ {
		add(t, s, batch(n, 100))
	}
	damage(t, segmentPath(t, dir), 16+48+1)
	damage(t, segmentPath(t, dir), 16+2*148+48+1)
	drain(s)
	l.expect(t, "damaged", "WARN "+batch(1, 8).Count.String(), "WARN "+batch(3, 8).Count.String())
}

// TestLogOfTornRecord: what is cut off is logged with its length.
func TestLogOfTornRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	add(t, s, batch(1, 100))
	s.Close()
	if err := os.Truncate(segmentPath(t, dir), 16+48+60); err != nil {
		t.Fatal(err)
	}
	_, l := openLogged(t, dir, 0)
	l.expect(t, "torn", "WARN bytes=108", "INFO left=")
}

// TestLogOfAFullDisk: that it is full is logged once, and once that it is not.
func TestLogOfAFullDisk(t *testing.T) {
	s, l := openLogged(t, disktest.Small(t, "256k"), 0)
	big := batch(1, 400_000)
	for range 3 {
		if err := s.Append(big); !errors.Is(err, spool.ErrDisk) {
			t.Fatal(err)
		}
	}
	l.expect(t, "full", "WARN error=")
	for n := 2; n <= 4; n++ {
		add(t, s, batch(n, 100))
	}
	l.expect(t, "with room", "INFO ")
}

// TestLogOfASegmentThatCannotBeOpened: it is logged once, however often it is tried.
func TestLogOfASegmentThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	s, l := openLogged(t, dir, 0)
	add(t, s, batch(1, 100))
	path := segmentPath(t, dir)
	if err := errors.Join(os.Rename(path, path+".away"), os.Symlink(path, path)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if b := s.Take(); b.Payload != nil {
			t.Errorf("took %v", b.Count)
		}
	}
	l.expect(t, "away", "WARN error=")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	drain(s)
	l.expect(t, "back", "INFO ")
}

// TestAccountCannotBeWritten: traces are sent nevertheless, it is logged once, and all
// is on disk when it can be written again.
func TestAccountCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s, l := openLogged(t, dir, 0)
	mend, err := spool.FailAccount(s)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		add(t, s, batch(n, 100))
	}
	s.Settle(s.Take().Count, exporter.Count{}, "")
	l.expect(t, "failing", "WARN error=")
	mend()
	s.Refuse("refused", batch(4, 8).Count)
	s.Lose("", exporter.Count{}) // waits until it is written
	l.expect(t, "mended", "INFO ")
	want := s.Lifetime()
	s.Close()
	got := open(t, dir, 0).Lifetime()
	if got.Sent != want.Sent || got.Queued != want.Queued || got.Sent != batch(1, 8).Count || len(got.Lost) != 1 {
		t.Errorf("%+v, want %+v", got, want)
	}
}
