// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"errors"
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
)

// opening returns a ring in which driver calls have begun, one a record, at these positions.
func opening(calls ...uint64) *ring {
	r := &newWriter(1, 4096).rings.all[0]
	for _, at := range calls {
		r.read = at
		r.opened(bytes.Repeat([]byte{byte(at / 8)}, 72))
	}
	return r
}

// A driver call ends once, and is the one that began at the position.
func TestDriverCallEnds(t *testing.T) {
	r := opening(8, 80, 152)
	for _, tt := range []struct {
		begin uint64
		want  byte // in the record, 0 if there is none
	}{{80, 10}, {80, 0}, {8, 1}, {16, 0}, {152, 19}, {152, 0}, {8, 0}} {
		record := r.ended(tt.begin)
		if tt.want == 0 {
			if record != nil {
				t.Errorf("call at %d: %v, want none", tt.begin, record)
			}
			continue
		}
		if !bytes.Equal(record, bytes.Repeat([]byte{tt.want}, 72)) {
			t.Errorf("call at %d: %v, want %d", tt.begin, record, tt.want)
		}
	}
	if record := opening().ended(0); record != nil {
		t.Errorf("no call: %v", record)
	}
}

// Of calls whose ends are lost, the last are remembered, and a new one is not taken for an old one.
func TestDriverCallsWithoutEnd(t *testing.T) {
	var calls []uint64
	for i := range uint64(maxOpen + 1) {
		calls = append(calls, i*8)
	}
	r := opening(calls...)
	for i, at := range calls {
		if record := r.ended(at); (record != nil) != (i > 0) {
			t.Errorf("call %d of %d: %v", i, len(calls), record)
		}
	}
	// Positions come round: of two calls that began at one, the last is meant.
	r = &newWriter(1, 4096).rings.all[0]
	last := bytes.Repeat([]byte{2}, 72)
	r.opened(bytes.Repeat([]byte{1}, 80))
	r.opened(last)
	if record := r.ended(0); !bytes.Equal(record, last) {
		t.Errorf("got %v", record)
	}
}

// put writes a record of such content, but for its time, if there is room.
func (w *writer) put(cpu int, raw []byte) {
	l := &w.rings.all[cpu]
	at := l.records[w.shared[cpu].Head&(l.size-1):]
	w.reserve(cpu, len(raw))
	if len(w.writing[cpu]) == 0 {
		return
	}
	copy(at[8:], raw[8:])
	w.commit(cpu, 0)
}

// The end of a driver call comes out with all that was known at its beginning. What cannot be read is
// counted, and so is an end whose beginning was not read.
func TestEndIsPutTogether(t *testing.T) {
	w := newWriter(1, 4096)
	backlog, err := newBacklog(4096)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{rings: w.rings, hooks: event.All(), backlog: backlog}
	start := join(kernelRecordHead{
		Hook: uint8(event.NetDevStartXmit), Type: uint8(event.EchoRequest), Seq: 7, Id: 8, Parts: uint8(kernelRecordPartPART_ADDRESSES4),
	}, bytesOf(kernelAddresses4{Src: [4]uint8{192, 0, 2, 1}, Dst: [4]uint8{192, 0, 2, 2}}))
	end := kernelRecordEnd{Words: uint8(endSize / 8), Hook: uint8(event.NetDevXmit), Code: 16}
	w.put(0, start) // at position 0
	w.put(0, bytesOf(end))
	unknown := bytes.Clone(start)
	unknown[hookOffset] = 0xff
	w.put(0, unknown)
	w.put(0, bytesOf(end)) // again
	if all, full, err := r.move(); !all || full || err != nil {
		t.Fatalf("all: %t, full: %t, error %v", all, full, err)
	}
	var begun, ended event.Event
	c := backlog.next()
	n := decode(c.mem[:c.used], &begun)
	n += decode(c.mem[n:c.used], &ended)
	if n != c.used || backlog.next() != nil {
		t.Fatalf("%d bytes of %d are two records", n, c.used)
	}
	if begun.Time != 2 || ended.Time != 3 || begun.Hook != event.NetDevStartXmit || ended.Hook != event.NetDevXmit || ended.Code != 16 {
		t.Errorf("%s with code %d at %d after %s at %d", ended.Hook, ended.Code, ended.Time, begun.Hook, begun.Time)
	}
	ended.Time, ended.Hook, ended.Code = begun.Time, begun.Hook, begun.Code
	if ended != begun {
		t.Errorf("the end is %+v, the beginning %+v", ended, begun)
	}
	if n := r.malformed.Load(); n != 2 {
		t.Errorf("%d records were malformed, want 2", n)
	}
	if err := errors.Join(backlog.giveBack(c), backlog.close()); err != nil {
		t.Error(err)
	}
}

// The programs write across the end of the largest ring there can be, where positions and the count of
// records come round, too.
func TestLargestRingComesRound(t *testing.T) {
	a, b := twoHosts(t)
	tracer := loadSharing(t, Options{}, 1, maxPerCPU)
	const at, count = positionMask + 1 - 104, countMask - 2
	l := &tracer.reader.rings.all[0]
	*l.head, *l.tail, l.read, l.count = count<<positionBits|at, at, at, count
	r := recordWith(t, tracer, a, b)
	if err := tracer.SetFilter(Filter{NetNS: []uint32{a.inode, b.inode}}); err != nil {
		t.Fatal(err)
	}
	const pings = 10
	p := a.pinger(false)
	for seq := range pings {
		p.ping("192.0.2.2", seq, []byte("across all ends"))
	}
	bySeq := map[uint16][]event.Event{}
	for _, e := range r.until(delivered(pings)) {
		bySeq[e.Seq] = append(bySeq[e.Seq], e)
	}
	for seq := range uint16(pings) {
		if got := r.list(bySeq[seq]); got != vethPing {
			t.Errorf("ping %d is\n%s\nwant\n%s", seq, got, vethPing)
		}
	}
	r.sound()
	sum := total(t, tracer)
	if n := sum.Emitted - count; n < pings*12 || n > countMask/2 {
		t.Errorf("%d events were written, want %d or more", n, pings*12)
	}
	if *l.head&positionMask > maxPerCPU {
		t.Errorf("at position %d, which has not come round", *l.head&positionMask)
	}
}

// A ring takes what it has room for, to the last byte, and no more.
func TestRingIsFull(t *testing.T) {
	onOneCPU(t)
	a, b := twoHosts(t)
	const size, smallest = 4096, 72 // of what there is one of each time
	r := recordWith(t, loadSharing(t, Options{RingBytes: size}, 1, size), b)
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{b.inode}}); err != nil {
		t.Fatal(err)
	}
	p := a.pinger(false)
	l := &r.tracer.reader.rings.all[0]
	for taken := uint64(0); taken < 10*8; taken += 8 {
		r.drain()
		r.events = nil
		before := total(t, r.tracer)
		*l.tail = (*l.tail - taken) & positionMask // as if so much were not read yet
		for seq := range 20 {
			p.ping("192.0.2.2", seq, []byte("more than the ring takes"))
		}
		if unread := (*l.head - *l.tail) & positionMask; unread > size || unread <= size-smallest {
			t.Errorf("%d bytes were taken, then %d of %d", taken, unread, size)
		}
		after := total(t, r.tracer)
		if emitted, lost := after.Emitted-before.Emitted, after.Lost-before.Lost; emitted+lost != 20*eachPing {
			t.Errorf("%d bytes were taken: emitted %d, lost %d, want %d together", taken, emitted, lost, 20*eachPing)
		}
		if r.drain(); len(r.events) != int(after.Emitted-before.Emitted) {
			t.Errorf("%d bytes were taken: read %d events of %d", taken, len(r.events), after.Emitted-before.Emitted)
		}
	}
}

// Each CPU that runs has a ring of its own, in which its events are counted.
func TestEachCPUHasARing(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{RingBytes: 1 << 20}, a, b)
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{a.inode, b.inode}}); err != nil {
		t.Fatal(err)
	}
	p, cpus := a.pinger(false), 0
	for cpu := range len(r.tracer.reader.rings.all) {
		undo, ok := pinTo(t, cpu)
		if !ok {
			continue
		}
		before, err := r.tracer.Stats()
		if err != nil {
			t.Fatal(err)
		}
		const pings = 5
		for seq := range pings {
			p.ping("192.0.2.2", seq, []byte("from one of the CPUs"))
		}
		undo()
		after, err := r.tracer.Stats()
		if err != nil {
			t.Fatal(err)
		}
		// All but what is done where the reader of the socket wakes up.
		if n := after.CPU[cpu].Emitted - before.CPU[cpu].Emitted; n < 10*pings {
			t.Errorf("CPU %d wrote %d events, want %d or more", cpu, n, 10*pings)
		}
		cpus++
	}
	if running, err := runningCPUs(); err != nil || running != len(r.tracer.reader.rings.all) || cpus == 0 {
		t.Errorf("%d rings for %d CPUs, of which %d were used; error %v", len(r.tracer.reader.rings.all), running, cpus, err)
	}
}
