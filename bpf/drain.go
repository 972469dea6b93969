// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"context"
	"fmt"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Drain calls fn for each event that is in the rings or the backlog when it is called, in
// the order of time, and returns how many there were. It does not block. The event is
// valid until fn returns, and fn must neither change it nor call the Tracer.
//
// An event comes after those that it follows from. Others of two CPUs may be swapped by as
// much as a program takes to run, or by more where one was interrupted for 100 ms.
//
// A record that cannot be decoded is counted in Stats.Malformed and passed over.
// The error is ErrClosed after Close.
func (t *Tracer) Drain(fn func(*event.Event)) (int, error) {
	n, _, err := t.reader.drain(math.MaxInt, fn)
	return n, err
}

// DrainSome is Drain for no more than limit events. It reports whether those are all
// that were there when it was called. With fewer than limit, they may not be: Gather may
// fill the backlog again meanwhile, and then what is still in the ring waits.
func (t *Tracer) DrainSome(limit int, fn func(*event.Event)) (n int, all bool, err error) {
	return t.reader.drain(limit, fn)
}

// Gather moves what is in the rings to the backlog each time that a quarter of one is
// unread, and calls moved, until ctx is done. So the ring does not run over while
// the one who drains is busy with what it got, unless that is three times the ring's size
// behind. The events are taken by Drain, which also moves those that are still in the
// ring. Wait must not be called meanwhile: this is the one who waits. The error is
// ErrClosed after Close, nil if ctx is done.
func (t *Tracer) Gather(ctx context.Context, moved func()) error {
	r := t.reader
	for {
		// Without an event there is nothing to do, so no time is too long.
		err := r.wait(ctx, time.Hour)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the context is the end of the run
		}
		if err != nil {
			return err
		}
		full, err := r.gather()
		if err != nil {
			return err
		}
		moved()
		if !full {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.made:
		}
	}
}

// gather moves what is in the ring to the backlog. It reports whether that is full.
func (r *reader) gather() (full bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false, ErrClosed
	}
	_, full, err = r.move()
	return full, err
}

// move moves the records that are in the rings to the backlog, in the order of their times. It
// reports whether that were all, and whether the backlog was full before.
func (r *reader) move() (all, full bool, err error) {
	now, err := monotonic()
	if err != nil {
		return false, false, err
	}
	// What comes in meanwhile is for the next time, or there might be no end.
	all = r.rings.merge(now, func(l *ring, record []byte) bool {
		room := r.backlog.room()
		if room == nil {
			full = true
			return false
		}
		if whole := r.whole(l, record); whole != nil {
			r.backlog.keep(copy(room[:len(whole)], whole))
		} else {
			r.malformed.Add(1)
		}
		return true
	})
	return all && !full, full, nil
}

// whole returns the valid record for one that is in a ring, nil if there is none: for the end of a
// driver call that is what its beginning said, as of its end. It is valid until the next call.
func (r *reader) whole(l *ring, record []byte) []byte {
	if isEnd(record) {
		end := (*kernelRecordEnd)(unsafe.Pointer(unsafe.SliceData(record)))
		begin := l.ended(end.Begin)
		if begin != nil {
			h := head(begin)
			h.Time, h.Hook, h.Code = end.Time, end.Hook, end.Code
		}
		return begin
	}
	if !valid(record, r.hooks) {
		return nil
	}
	if record[hookOffset] == uint8(event.NetDevStartXmit) {
		l.opened(record)
	}
	return record
}

// monotonic returns the time in ns of the clock that records have.
func monotonic() (uint64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return uint64(now.Nano()), nil
}

func (r *reader) drain(limit int, fn func(*event.Event)) (n int, all bool, err error) {
	r.draining.Lock()
	defer r.draining.Unlock()
	now, err := monotonic()
	if err != nil {
		return 0, false, err
	}
	n, all, behind, err := r.readDirectly(now, limit, fn)
	if !behind {
		return n, all, err
	}
	// If the backlog had no room for what is in the ring, it has after the first time.
	for range 2 {
		left, moved, full, err := r.unreadBytes()
		if err != nil {
			return n, false, err
		}
		got, left, err := r.decode(left, limit-n, fn)
		n += got
		if err != nil || !full || n == limit {
			return n, moved && left == 0, err
		}
	}
	return n, false, nil
}

// decode calls fn for the events in the next bytes of the backlog, but no more than limit.
// It returns how many there were and the bytes that are left.
func (r *reader) decode(bytes, limit int, fn func(*event.Event)) (n, left int, err error) {
	for bytes > 0 && n < limit {
		if err := r.turnPage(); err != nil {
			return n, bytes, err
		}
		c, begin := r.reading, r.reading.read
		for c.read < c.used && bytes > c.read-begin && n < limit {
			c.read += decode(c.mem[c.read:c.used], &r.event)
			fn(&r.event)
			n++
		}
		bytes -= c.read - begin
		if err := r.pageDone(); err != nil {
			return n, bytes, err
		}
	}
	return n, bytes, nil
}

// unreadBytes returns how many bytes of records there are to decode, once those in the
// ring have been moved, and what move says.
func (r *reader) unreadBytes() (n int, all, full bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, false, false, ErrClosed
	}
	all, full, err = r.move()
	n = r.backlog.bytes
	if c := r.reading; c != nil {
		n += c.used - c.read
	}
	return n, all, full, err
}

// turnPage makes reading a chunk with something to read.
func (r *reader) turnPage() error {
	if r.reading != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.reading = r.backlog.next()
	return nil
}

// pageDone gives the chunk back if all of it has been read, and signals that there is
// room.
func (r *reader) pageDone() error {
	c := r.reading
	if c.read < c.used {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = nil
	select {
	case r.made <- struct{}{}:
	default:
	}
	return r.backlog.giveBack(c)
}
