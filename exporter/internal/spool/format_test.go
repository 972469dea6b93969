// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
)

// These read the files as the package's documentation describes them, so that what is
// written there stays true.

var le = binary.LittleEndian

func castagnoli(parts ...[]byte) uint32 {
	sum := uint32(0)
	for _, b := range parts {
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b)
	}
	return sum
}

type record struct {
	Number        uint64
	Count, Before exporter.Count
	Payload       string
}

// parseRecord decodes a record and returns what follows it.
func parseRecord(t *testing.T, b []byte) (r record, rest []byte) {
	t.Helper()
	if len(b) < 48 || string(b[:4]) != "DWRC" || le.Uint32(b[44:]) != castagnoli(b[:44]) {
		t.Fatalf("not a header: %q", b)
	}
	length := le.Uint32(b[4:])
	payload := b[48 : 48+length]
	if le.Uint32(b[40:]) != castagnoli(payload) {
		t.Errorf("the checksum of %q is wrong", payload)
	}
	return record{
		Number: le.Uint64(b[8:]),
		Count:  exporter.Count{Traces: int64(le.Uint32(b[16:])), Spans: int64(le.Uint32(b[20:]))},
		Before: count(b[24:]), Payload: string(payload),
	}, b[48+length:]
}

func parseSegment(t *testing.T, segment []byte) (records []record) {
	t.Helper()
	for rest := segment[16:]; len(rest) > 0; {
		var r record
		r, rest = parseRecord(t, rest)
		records = append(records, r)
	}
	return records
}

func count(b []byte) exporter.Count {
	return exporter.Count{Traces: int64(le.Uint64(b)), Spans: int64(le.Uint64(b[8:]))}
}

type accountOnDisk struct {
	Next, First, Inflight          uint64
	Accepted, Sent, Written, Taken exporter.Count
	Lost                           map[string]exporter.Count
}

// parseAccount decodes one copy of the account.
func parseAccount(t *testing.T, b []byte) (a accountOnDisk, writes uint64) {
	t.Helper()
	length := le.Uint32(b[12:])
	if string(b[:8]) != "dwellacc" || le.Uint32(b[8:]) != 1 || le.Uint32(b[16:]) != castagnoli(b[8:16], b[20:20+length]) {
		t.Fatalf("not an account: %q", b)
	}
	a = accountOnDisk{
		Next: le.Uint64(b[28:]), First: le.Uint64(b[36:]), Inflight: le.Uint64(b[44:]),
		Accepted: count(b[52:]), Sent: count(b[68:]), Written: count(b[84:]), Taken: count(b[100:]),
		Lost: map[string]exporter.Count{},
	}
	rest := b[120 : 20+length]
	for range le.Uint32(b[116:]) {
		name := rest[1 : 1+rest[0]]
		rest = rest[1+rest[0]:]
		a.Lost[string(name)] = count(rest)
		rest = rest[16:]
	}
	if len(rest) > 0 {
		t.Errorf("%d bytes are too many", len(rest))
	}
	return a, le.Uint64(b[20:])
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFormat decodes each file after everything happened that the files record.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	sent, one, two, held := batch(1, 10), batch(2, 20), batch(3, 30), batch(4, 40)
	refused, part := exporter.Count{Traces: 5, Spans: 50}, exporter.Count{Traces: 1, Spans: 3}
	add(t, s, sent)
	add(t, s, one)
	add(t, s, two)
	s.Settle(s.Take().Count, part, "rejected")
	s.Refuse(exporter.CauseQueueFull, refused)
	s.Accept(held.Count)
	if err := s.Hold(held); err != nil {
		t.Fatal(err)
	}
	s.Close()

	segment := read(t, dir, "0000000000000001.seg")
	if string(segment[:8]) != "dwellspl" || le.Uint32(segment[8:]) != 1 || le.Uint32(segment[12:]) != castagnoli(segment[:12]) {
		t.Errorf("the segment begins with %q", segment[:16])
	}
	records := parseSegment(t, segment)
	before := sent.Count.Plus(one.Count)
	want := []record{
		{1, sent.Count, exporter.Count{}, string(sent.Payload)},
		{2, one.Count, sent.Count, string(one.Payload)},
		{3, two.Count, before, string(two.Payload)},
	}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("segment (-want +got):\n%s", diff)
	}

	inflight, _ := parseRecord(t, read(t, dir, "inflight")) // behind it may be an earlier one
	if diff := cmp.Diff(record{inflight.Number, held.Count, exporter.Count{}, string(held.Payload)}, inflight); diff != "" || inflight.Number == 0 {
		t.Errorf("inflight (-want +got):\n%s", diff)
	}

	page := read(t, dir, "account")
	if len(page) != 4096 {
		t.Fatalf("the account has %d bytes", len(page))
	}
	first, writes := parseAccount(t, page)
	second, again := parseAccount(t, page[2048:])
	wantAccount := accountOnDisk{
		Next: 4, First: 2, Inflight: inflight.Number,
		Accepted: before.Plus(two.Count).Plus(refused).Plus(held.Count), Sent: sent.Count.Minus(part),
		Written: before.Plus(two.Count), Taken: sent.Count,
		Lost: map[string]exporter.Count{"rejected": part, "queue_full": refused},
	}
	if diff := cmp.Diff(wantAccount, first); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first, second); diff != "" || writes == 0 || writes != again {
		t.Errorf("the copies were written %d and %d times and differ:\n%s", writes, again, diff)
	}
}

// TestNewerSegmentIsNotTouched: a segment of a later version is an error, and all stays as it
// is. A header whose checksum is wrong is ignored.
func TestNewerSegmentIsNotTouched(t *testing.T) {
	for name, flip := range map[string]byte{"whole": 0, "damaged": 1} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			add(t, s, batch(1, 10))
			s.Close()
			segment := read(t, dir, "0000000000000001.seg")
			le.PutUint32(segment[8:], 2)
			le.PutUint32(segment[12:], castagnoli(segment[:12]))
			segment[12] ^= flip
			files := snap(t, dir)
			files["0000000000000001.seg"] = segment
			files.restore(t, dir)
			err := refusedIn(dir)
			if (err == nil) != (flip != 0) {
				t.Fatalf("Open: %v", err)
			}
			if diff := cmp.Diff(segment, read(t, dir, "0000000000000001.seg")); diff != "" {
				t.Error("the segment has changed")
			}
		})
	}
}

// TestNumbersHaveNoGaps: whatever came from where, and over processes, each record has the
// next number and counts what was before it.
func TestNumbersHaveNoGaps(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	fresh := batch(1, 100)
	s.Accept(fresh.Count)
	if err := s.Hold(fresh); err != nil {
		t.Fatal(err)
	}
	add(t, s, batch(2, 100))
	if err := s.Postpone(fresh); err != nil {
		t.Fatal(err)
	}
	add(t, s, batch(3, 100))
	s.Close()
	s = open(t, dir, 0)
	add(t, s, batch(4, 100))
	var before exporter.Count
	number := uint64(1)
	for _, name := range []string{"0000000000000001.seg", "0000000000000002.seg"} {
		for _, r := range parseSegment(t, read(t, dir, name)) {
			if r.Number != number || r.Before != before {
				t.Errorf("record %d, want %d, with %v before it, want %v", r.Number, number, r.Before, before)
			}
			number, before = number+1, before.Plus(r.Count)
		}
	}
	if number != 5 {
		t.Errorf("%d records", number-1)
	}
}
