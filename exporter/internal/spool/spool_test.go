// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

func open(t testing.TB, dir string, maxBytes int64) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir, MaxBytes: maxBytes}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // mostly closed before
	return s
}

// batch makes the nth batch: its payload says its number, its counts are its own.
func batch(n, size int) spool.Batch {
	payload := bytes.Repeat([]byte{byte(n)}, max(size, 8))
	binary.LittleEndian.PutUint64(payload, uint64(n))
	return spool.Batch{Payload: payload, Count: exporter.Count{Traces: int64(n%7) + 1, Spans: int64(n%50) + 10}}
}

func add(t testing.TB, s *spool.Spool, b spool.Batch) {
	t.Helper()
	s.Accept(b.Count)
	if err := s.Append(b); err != nil {
		t.Fatal(err)
	}
}

// drain sends everything and returns the numbers of the batches.
func drain(s *spool.Spool) (got []int) {
	for b := s.Left(); ; b = s.Take() {
		if b.Payload == nil {
			if s.Empty() {
				return got
			}
			continue
		}
		got = append(got, int(binary.LittleEndian.Uint64(b.Payload)))
		s.Settle(b.Count, exporter.Count{}, "")
	}
}

func balance(s exporter.Stats) exporter.Count {
	return s.Sent.Plus(s.Queued).Plus(s.TotalLost())
}

// usage returns how much of the disk a spool has, and in how many segments.
func usage(t rapid.TB, dir string) (bytes int64, segments int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != "lock" {
			bytes += info.Size()
		}
		if isSegment(e.Name()) {
			segments++
		}
	}
	return bytes, segments
}

func isSegment(name string) bool { return filepath.Ext(name) == ".seg" }

func TestOldestFirstAcrossProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "spool")
	var want []int
	for n := 1; n <= 30; n++ {
		s := open(t, dir, 0)
		add(t, s, batch(n, 1000))
		want = append(want, n)
		s.Close()
	}
	s := open(t, dir, 0)
	if got := s.Stats(); got.Recovered != got.Queued || got.Spooled != got.Queued {
		t.Errorf("opened with %+v", got)
	}
	if diff := cmp.Diff(want, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.Stats(); got.Queued != (exporter.Count{}) || len(got.Lost) != 0 || got.Sent != got.Recovered {
		t.Errorf("drained with %+v", got)
	}
	s.Close()
	entries, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(entries) != 0 {
		t.Errorf("%v are left, error %v", entries, err)
	}
}

func TestOnlyThisUserAndOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, dir, 0)
	add(t, s, batch(1, 10))
	_, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if !errors.Is(err, spool.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second Open: %v", err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewerVersionIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	add(t, s, batch(1, 10))
	s.Close()
	if err := spool.Upgrade(dir); err != nil {
		t.Fatal(err)
	}
	_, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("Open: %v", err)
	}
}

func TestLimitDropsTheOldest(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	var in exporter.Count
	for n := 1; n <= 100; n++ {
		b := batch(n, 30_000)
		in = in.Plus(b.Count)
		add(t, s, b)
		if got := s.Stats(); got.SpoolBytes > 1<<20 || balance(got) != in {
			t.Fatalf("after %d batches of %v: %+v", n, in, got)
		}
	}
	lost := s.Stats().Lost[exporter.CauseSpoolFull]
	got := drain(s)
	first := got[0]
	var want []int
	var dropped exporter.Count
	for n := 1; n <= 100; n++ {
		if n < first {
			dropped = dropped.Plus(batch(n, 8).Count)
			continue
		}
		want = append(want, n)
	}
	if diff := cmp.Diff(want, got); diff != "" || dropped != lost || first < 60 || first > 75 {
		t.Errorf("%v counted as lost, %v were; the first that arrived is %d (-want +got):\n%s", lost, dropped, first, diff)
	}
}

func TestBatchThatIsLargerThanTheLimit(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	b := batch(1, 2<<20)
	add(t, s, b)
	if got := s.Stats(); got.Lost[exporter.CauseSpoolFull] != b.Count || got.Queued != (exporter.Count{}) {
		t.Errorf("%+v", got)
	}
}

// TestAnyFlippedBit damages one byte of one file and then sends everything: nothing
// panics, nothing arrives that was not written, nothing twice, and what is missing is
// counted as lost.
func TestAnyFlippedBit(t *testing.T) {
	const maxBytes = 2 << 20
	dir := filepath.Join(t.TempDir(), "spool")
	rapid.Check(t, func(t *rapid.T) {
		defer os.RemoveAll(dir)
		s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir, MaxBytes: maxBytes}})
		if err != nil {
			t.Fatal(err)
		}
		in := fill(t, s)
		s.Close()
		flip(t, dir)
		s, err = spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir, MaxBytes: maxBytes}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		before := s.Lifetime().Sent
		arrived := deliver(t, s)
		got := s.Lifetime()
		if got.Sent.Minus(before) != arrived || balance(got) != in || got.Queued != (exporter.Count{}) {
			t.Fatalf("%v went in, %v arrived: %+v", in, arrived, got)
		}
	})
}

// fill does what an exporter does and returns how much it took over.
func fill(t *rapid.T, s *spool.Spool) (in exporter.Count) {
	sending := false
	for n := range rapid.IntRange(1, 40).Draw(t, "batches") {
		b := batch(n, rapid.IntRange(8, 40_000).Draw(t, "size"))
		in = in.Plus(b.Count)
		s.Accept(b.Count)
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0: // dies in memory
		case 1:
			if sending {
				s.Lose("shutdown", b.Count)
				continue
			}
			sending = true
			if err := s.Hold(b); err != nil {
				t.Fatal(err)
			}
		default:
			if err := s.Append(b); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "send") && !sending {
				s.Settle(s.Take().Count, exporter.Count{}, "")
			}
		}
	}
	return in
}

// flip changes one byte of one file, or takes or adds some at the end.
func flip(t *rapid.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	name := rapid.SampledFrom(files).Draw(t, "file")
	b, err := os.ReadFile(name)
	if err != nil || len(b) == 0 {
		return
	}
	at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
	switch how := rapid.IntRange(0, 9).Draw(t, "how"); {
	case how == 0 && filepath.Base(name) != "account":
		b = b[:at]
	case how == 1:
		b = append(b, b[at:]...)
	default:
		b[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// deliver sends everything and checks each payload.
func deliver(t *rapid.T, s *spool.Spool) (arrived exporter.Count) {
	seen := make(map[uint64]bool)
	for b := s.Left(); ; b = s.Take() {
		if b.Payload == nil {
			if s.Empty() {
				return arrived
			}
			continue
		}
		n := binary.LittleEndian.Uint64(b.Payload)
		if want := batch(int(n), len(b.Payload)); seen[n] || !bytes.Equal(want.Payload, b.Payload) || want.Count != b.Count {
			t.Fatalf("batch %d of %v arrived (before: %v), want %v", n, b.Count, seen[n], want.Count)
		}
		seen[n] = true
		arrived = arrived.Plus(b.Count)
		s.Settle(b.Count, exporter.Count{}, "")
	}
}

func BenchmarkHoldAndSettle(b *testing.B) {
	s := open(b, b.TempDir(), 0)
	one := batch(1, 700_000)
	b.SetBytes(700_000)
	for b.Loop() {
		s.Accept(one.Count)
		if err := s.Hold(one); err != nil {
			b.Fatal(err)
		}
		s.Settle(one.Count, exporter.Count{}, "")
	}
}

func BenchmarkAccept(b *testing.B) {
	s := open(b, b.TempDir(), 0)
	for b.Loop() {
		s.Accept(exporter.Count{Traces: 1, Spans: 25})
	}
}
