// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// writer does with rings what the programs do (bpf/c/ring.h), in ordinary memory.
type writer struct {
	rings  *rings
	shared []*kernelRing
	clock  uint64
	// writing are the records that have room and no time yet, by ring, oldest first.
	writing [][]slot
	lost    []uint64
	written int
}

// slot is room for a record that is being written, and its time.
type slot struct {
	at   *uint64
	time uint64
}

func newWriter(cpus int, size uint64) *writer {
	stride := ringHeader + int(size) + ringGuard
	words := make([]uint64, cpus*stride/8) // aligned
	mem := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), cpus*stride)
	w := &writer{rings: ringsIn(mem, stride), clock: 1, writing: make([][]slot, cpus), lost: make([]uint64, cpus)}
	for i := range cpus {
		w.shared = append(w.shared, (*kernelRing)(unsafe.Pointer(&mem[i*stride])))
	}
	return w
}

// begin makes all rings begin at a position, with a count of records.
func (w *writer) begin(at, count uint64) {
	for i, l := range w.shared {
		l.Head, l.Tail = count<<positionBits+at, at
		w.rings.all[i].read, w.rings.all[i].count = at, count
	}
}

// reserve takes room for a record, if there is any.
func (w *writer) reserve(cpu, size int) {
	w.clock++
	l, la := w.shared[cpu], &w.rings.all[cpu]
	if (l.Head+uint64(size)-l.Tail)&positionMask > la.size {
		l.Lost++
		w.lost[cpu]++
		return
	}
	record := la.records[l.Head&(la.size-1):][:size]
	for _, b := range record {
		if b != 0 {
			panic("room that was not cleared")
		}
	}
	l.Head = l.Head&^positionMask + 1<<positionBits + (l.Head+uint64(size))&positionMask
	end := (*kernelRecordEnd)(unsafe.Pointer(unsafe.SliceData(record)))
	end.Words = uint8(size / 8)
	for i := endSize; i < size; i++ {
		record[i] = 0xff // the payload is anybody's
	}
	w.writing[cpu] = append(w.writing[cpu], slot{&end.Time, w.clock})
}

// commit writes the time of the i-th record that is being written.
func (w *writer) commit(cpu, i int) {
	s := w.writing[cpu][i]
	w.writing[cpu] = slices.Delete(w.writing[cpu], i, i+1)
	atomic.StoreUint64(s.at, s.time)
	w.written++
}

// Whatever the programs of several CPUs do, and in whatever order those that interrupt each other
// end, each record comes out once, in the order of time.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpus := rapid.IntRange(1, 4).Draw(t, "CPUs")
		w := newWriter(cpus, 1024)
		before := rapid.SampledFrom([]uint64{0, countMask - 2}).Draw(t, "count")
		w.begin(rapid.SampledFrom([]uint64{0, positionMask + 1 - 1024}).Draw(t, "position"), before)
		var got []uint64
		merge := func(limit int) bool {
			w.clock++
			return w.rings.merge(w.clock, func(_ *ring, record []byte) bool {
				if limit--; limit < 0 {
					return false
				}
				got = append(got, head(record).Time)
				return true
			})
		}
		cpu := rapid.IntRange(0, cpus-1)
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				w.reserve(cpu.Draw(t, "CPU"), rapid.SampledFrom([]int{endSize, 72, 80, 96, widestRecord}).Draw(t, "size"))
			},
			"end": func(t *rapid.T) {
				if c := cpu.Draw(t, "CPU"); len(w.writing[c]) > 0 {
					w.commit(c, rapid.IntRange(0, len(w.writing[c])-1).Draw(t, "which"))
				}
			},
			"merge": func(t *rapid.T) {
				writing := slices.ContainsFunc(w.writing, func(s []slot) bool { return len(s) > 0 })
				if all := merge(1 << 30); all == writing {
					t.Fatalf("all: %t, with records that are being written: %t", all, writing)
				}
			},
			"merge some": func(t *rapid.T) { merge(rapid.IntRange(0, 5).Draw(t, "limit")) },
		})
		for c := range w.writing {
			for len(w.writing[c]) > 0 {
				w.commit(c, 0)
			}
		}
		if !merge(1<<30) || len(got) != w.written || !slices.IsSorted(got) {
			t.Fatalf("%d records of %d, in order: %t", len(got), w.written, slices.IsSorted(got))
		}
		emitted := 0
		for c := range cpus {
			n, lost := w.rings.counted(c)
			emitted += int(n - before)
			if l := w.shared[c]; l.Tail != l.Head&positionMask {
				t.Errorf("CPU %d: room is given back up to %d of %d", c, l.Tail, l.Head&positionMask)
			}
			if lost != w.lost[c] {
				t.Errorf("lost %d on CPU %d, want %d", lost, c, w.lost[c])
			}
		}
		if sum, most := w.rings.unread(); emitted != w.written || sum != 0 || most != 0 {
			t.Errorf("counted %d of %d records, %d bytes unread, %d in one ring", emitted, w.written, sum, most)
		}
	})
}

// A program that has been interrupted for long holds up what its own CPU wrote later, and no
// other's.
func TestMergeWaits(t *testing.T) {
	w := newWriter(2, 4096)
	times := func(now uint64) (got []uint64) {
		w.rings.merge(now, func(_ *ring, record []byte) bool {
			got = append(got, head(record).Time)
			return true
		})
		return got
	}
	w.reserve(0, 72) // at 2
	w.reserve(1, 72)
	w.commit(1, 0)
	if got := times(10); len(got) != 0 {
		t.Errorf("did not wait, read %v", got)
	}
	if got := times(10 + stalled); !slices.Equal(got, []uint64{3}) {
		t.Errorf("waits for ever, read %v", got)
	}
	w.commit(0, 0)
	if got := times(11 + stalled); !slices.Equal(got, []uint64{2}) {
		t.Errorf("read %v", got)
	}
}

// What was written after the call is for the next: what led to it may be in a ring that had been
// looked at before.
func TestMergeEndsAtTheCall(t *testing.T) {
	w := newWriter(1, 4096)
	w.write(0) // at 2
	w.write(0) // at 3
	for now, want := range []int{0, 0, 1, 1} {
		n := 0
		if all := w.rings.merge(uint64(now), func(*ring, []byte) bool { n++; return true }); n != want || !all {
			t.Errorf("at %d: %d records, want %d; all: %t", now, n, want, all)
		}
	}
}

// What is unread and what was written is known before it is read, also where positions come round.
func TestUnread(t *testing.T) {
	w := newWriter(2, 1024)
	w.begin(positionMask+1-80, countMask)
	w.write(0)
	w.write(0)
	w.write(1)
	if n, _ := w.rings.counted(0); n != countMask+2 {
		t.Errorf("%d records were written, want %d", n, countMask+2)
	}
	if sum, most := w.rings.unread(); sum != 3*72 || most != 2*72 {
		t.Errorf("%d bytes are unread, %d in one ring", sum, most)
	}
}

// write writes a record.
func (w *writer) write(cpu int) {
	w.reserve(cpu, 72)
	w.commit(cpu, 0)
}

// merge returns the times of the next records, of no more than a limit.
func (w *writer) merge(limit int) (times []uint64) {
	w.clock++
	w.rings.merge(w.clock, func(_ *ring, record []byte) bool {
		if len(times) == limit {
			return false
		}
		times = append(times, head(record).Time)
		return true
	})
	return times
}

// Room that is given back is all zero, or a program's record would be taken before it is written.
func TestMergeClears(t *testing.T) {
	w := newWriter(1, 1024)
	for range 100 {
		w.write(0)
		if got := w.merge(2); len(got) != 1 {
			t.Fatalf("read %v", got)
		}
	}
}

// What other rings have does not wait for a record that is being written if it is older than when
// there was nothing in that ring.
func TestMergeKnowsAnEmptyRing(t *testing.T) {
	w := newWriter(2, 4096)
	w.write(1)
	left := w.clock
	w.merge(0)
	w.reserve(0, 72)
	if got := w.merge(2); !slices.Equal(got, []uint64{left}) {
		t.Errorf("read %v, want what was written at %d", got, left)
	}
}

// The same is so if all of that ring had been read.
func TestMergeKnowsARingThatWasRead(t *testing.T) {
	w := newWriter(2, 4096)
	w.write(0)
	w.write(1)
	left := w.clock
	w.merge(1)
	w.reserve(0, 72)
	if got := w.merge(2); !slices.Equal(got, []uint64{left}) {
		t.Errorf("read %v, want what was written at %d", got, left)
	}
}

// How long a record has been written is reckoned from the one before it, where a ring is never empty.
func TestMergeWaitsInABusyRing(t *testing.T) {
	w := newWriter(2, 4096)
	w.clock = 10 * stalled
	w.write(0)
	first := w.clock
	w.reserve(0, 72)
	w.write(1)
	if got := w.merge(2); !slices.Equal(got, []uint64{first}) {
		t.Errorf("read %v, want what was written at %d", got, first)
	}
}

// A record of a size that there is none of costs what is behind it in that ring, and no more.
func TestMergeSkips(t *testing.T) {
	for _, begin := range []uint64{0, 4096 - 72 - 80 - 8} { // the second time across the end
		for _, words := range []int{0, endSize/8 - 1, widestRecord/8 + 1, 255} {
			testMergeSkips(t, begin, words, 4)
		}
		testMergeSkips(t, begin, widestRecord/8, 1) // is longer than what there is
	}
}

// testMergeSkips writes a record that says that it has so many words, and others behind it.
func testMergeSkips(t *testing.T, begin uint64, words, behind int) {
	t.Helper()
	w := newWriter(2, 4096)
	w.begin(begin, 0)
	w.reserve(0, 72)
	end := (*kernelRecordEnd)(unsafe.Pointer(unsafe.SliceData(w.rings.all[0].records[begin:])))
	end.Words = uint8(words)
	w.commit(0, 0)
	for range behind {
		w.reserve(0, 80)
		w.commit(0, 0)
	}
	w.reserve(1, 80)
	w.commit(1, 0)
	got := map[string]int{}
	count := func(_ *ring, record []byte) bool {
		if record == nil {
			got["none"]++
			w.reserve(0, 96) // behind it, meanwhile
			w.commit(0, 0)
		} else {
			got["records"]++
		}
		return true
	}
	w.rings.merge(10, count)
	w.reserve(0, 80)
	w.commit(0, 0)
	w.rings.merge(11, count)
	if want := map[string]int{"none": 1, "records": 3}; !maps.Equal(got, want) {
		t.Errorf("of %d words at %d: %v, want %v", words, begin, got, want)
	}
	if slices.ContainsFunc(w.rings.all[0].records, func(b byte) bool { return b != 0 }) {
		t.Errorf("of %d words at %d: not all of the room was cleared", words, begin)
	}
}
