// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// reader takes records from the ring.
//
// ringbuf.Reader does the reading. Waiting is done apart, through Go's own poller
// on a second descriptor of the ring: that is edge-triggered and so returns on a
// wake-up, where ringbuf.Reader's level-triggered one returns as soon as there is
// one unread byte, which on a busy host is always.
type reader struct {
	ring      *ringbuf.Reader
	wake      *os.File
	conn      syscall.RawConn
	threshold int // unread bytes from which on the programs wake us

	malformed atomic.Uint64

	mu     sync.Mutex // guards what follows, and the ring's memory against close
	closed bool
	record ringbuf.Record
	event  event.Event
}

func newReader(events *ebpf.Map) (*reader, error) {
	ring, err := ringbuf.NewReader(events)
	if err != nil {
		return nil, err
	}
	// A deadline that has passed makes every read a poll.
	ring.SetDeadline(time.Unix(1, 0))
	threshold, _ := wake(events.MaxEntries())
	r := &reader{ring: ring, threshold: int(threshold)}
	if err := r.openWake(events.FD()); err != nil {
		return nil, errors.Join(err, ring.Close())
	}
	return r, nil
}

func (r *reader) openWake(ring int) error {
	fd, err := unix.FcntlInt(uintptr(ring), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("duplicate ring buffer descriptor: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(fmt.Errorf("ring buffer descriptor: %w", err), unix.Close(fd))
	}
	r.wake = os.NewFile(uintptr(fd), "ringbuf")
	if r.conn, err = r.wake.SyscallConn(); err != nil {
		return errors.Join(fmt.Errorf("ring buffer descriptor: %w", err), r.wake.Close())
	}
	return nil
}

func (r *reader) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	// Ends a wait and waits until it has ended, for which it may need the lock.
	err := r.wake.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, r.ring.Close())
}

// unread returns the bytes in the ring, or false once it is closed.
func (r *reader) unread() (n int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, false
	}
	return r.ring.AvailableBytes(), true
}

// Drain calls fn for each event that is in the ring when it is called, in the
// order of the ring, and returns how many there were. It does not block and does
// not allocate. The event is valid until fn returns; fn must not call the Tracer.
//
// The order of the ring is that of time for one CPU; between CPUs events may be
// swapped by as much as a program takes to run.
//
// A record that cannot be decoded is counted in Stats.Malformed and passed over.
// The error is ErrClosed after Close.
func (t *Tracer) Drain(fn func(*event.Event)) (int, error) {
	n, _, err := t.reader.drain(math.MaxInt, fn)
	return n, err
}

// DrainSome is Drain for no more than limit events. It reports whether those are all
// that were in the ring when it was called. With fewer than limit, they may not be: a
// program that was interrupted while it wrote an event holds back what comes after.
func (t *Tracer) DrainSome(limit int, fn func(*event.Event)) (n int, all bool, err error) {
	return t.reader.drain(limit, fn)
}

func (r *reader) drain(limit int, fn func(*event.Event)) (n int, all bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, false, ErrClosed
	}
	// What comes in meanwhile is for the next call, or there might be no end.
	left := r.ring.AvailableBytes()
	for left > 0 && n < limit {
		err := r.ring.ReadInto(&r.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return n, false, explain(fmt.Errorf("read ring buffer: %w", err))
		}
		left -= ringHeader + (len(r.record.RawSample)+7)&^7
		if !decode(r.record.RawSample, &r.event) {
			r.malformed.Add(1)
			continue
		}
		fn(&r.event)
		n++
	}
	return n, left <= 0, nil
}

// ringHeader is the size of the kernel's struct bpf_ringbuf_hdr.
const ringHeader = 8

// Wait returns after tick, or earlier once a quarter of the ring is unread. The
// error is the context's if it is done, or ErrClosed after Close.
func (t *Tracer) Wait(ctx context.Context, tick time.Duration) error {
	return t.reader.wait(ctx, tick)
}

func (r *reader) wait(ctx context.Context, tick time.Duration) error {
	if err := r.wake.SetReadDeadline(time.Now().Add(tick)); err != nil {
		return r.waitError(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() {
		// Fails only if the file is closed, which ends the wait as well.
		_ = r.wake.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	woken := false
	err := r.conn.Read(func(uintptr) bool {
		// Called once before waiting, when a wake-up may already have been, and
		// again after each wake-up.
		n, ok := r.unread()
		done := woken || !ok || n >= r.threshold
		woken = true
		return done
	})
	return r.waitError(ctx, err)
}

// waitError says how a wait ended: the tick and the wake-up are no errors.
func (r *reader) waitError(ctx context.Context, err error) error {
	if _, ok := r.unread(); !ok {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("wait for ring buffer: %w", err)
	}
	return nil
}
