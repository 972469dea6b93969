// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/exporter"
)

// What is told of the oldest record is not younger than that, and hardly older, in whatever order
// records come, are taken out, postponed and settled.
func TestAgesAgainstEachRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := time.Now()
		now := begin
		var a ages
		records, flight := []time.Time{}, time.Time{} // as they are, the first has the number first
		first := uint64(1)
		next := func() uint64 { return first + uint64(len(records)) }
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "later")))
				a.add(next(), now)
				records = append(records, now)
			},
			"append soon": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "later")))
				a.add(next(), now)
				records = append(records, now)
			},
			"take": func(t *rapid.T) {
				if len(records) == 0 || !flight.IsZero() {
					t.Skip("nothing to take")
				}
				a.takeOut(first)
				flight, records = records[0], records[1:]
				first++
			},
			"postpone": func(t *rapid.T) {
				if flight.IsZero() {
					t.Skip("nothing in flight")
				}
				a.postpone(next())
				records, flight = append(records, flight), time.Time{}
			},
			"settle": func(*rapid.T) { a.inFlight, flight = time.Time{}, time.Time{} },
			"": func(t *rapid.T) {
				want := flight
				for _, r := range records {
					if want.IsZero() || r.Before(want) {
						want = r
					}
				}
				got := a.oldest(first, len(records) > 0)
				if want.IsZero() || got.IsZero() {
					if want != got {
						t.Fatalf("oldest since %v, want %v", got, want)
					}
					return
				}
				if early := want.Sub(got); early < 0 || early > max(stampEvery, now.Sub(begin)/stampPart) {
					t.Fatalf("oldest since %v, %v before %v, after %v", got, early, want, now.Sub(begin))
				}
			},
		})
		if most := 2*len(records) + 1; len(a.stamps) > most {
			t.Fatalf("%d stamps of %d records", len(a.stamps), len(records))
		}
	})
}

// A day of records, ten a second, is not a million stamps.
func TestStampsAreFew(t *testing.T) {
	var a ages
	now := time.Now()
	for i := range uint64(24 * 3600 * 10) {
		a.add(i, now)
		now = now.Add(time.Second / 10)
	}
	if n := len(a.stamps); n > 3000 {
		t.Errorf("%d stamps", n)
	}
}

// What an earlier process has left is as old as its file.
func TestAgeOfWhatWasLeft(t *testing.T) {
	o := Options{Spool: exporter.Spool{Dir: t.TempDir(), MaxBytes: 1 << 20}}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	count := exporter.Count{Traces: 1, Spans: 2}
	s.Accept(count)
	if err := s.Append(Batch{Payload: []byte("batch"), Count: count}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(o.Dir, "*"+segmentSuffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("segments %v: %v", files, err)
	}
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(files[0], yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	oldest := func(what string) {
		t.Helper()
		if got := s.Stats().OldestSpooled; !got.Equal(yesterday) {
			t.Errorf("%s: oldest since %v, want %v", what, got, yesterday)
		}
	}
	oldest("found")
	b := s.Take()
	oldest("in flight")
	if err := s.Postpone(b); err != nil {
		t.Fatal(err)
	}
	oldest("postponed")
	s.Take()
	s.Settle(count, exporter.Count{}, "")
	if got := s.Stats(); !got.OldestSpooled.IsZero() {
		t.Errorf("sent: %+v", got)
	}
}
