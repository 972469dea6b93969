// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"context"
	"errors"
	"fmt"
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
//
// Between the ring and the consumer of events is a backlog in our own memory: moving a
// record there takes some ten nanoseconds, making traces of it a microsecond or more, and
// a flood of pings writes several in a microsecond.
type reader struct {
	ring      *ringbuf.Reader
	wake      *os.File
	conn      syscall.RawConn
	threshold int // unread bytes from which on the programs wake us
	hooks     *event.Hooks

	malformed atomic.Uint64
	// made receives when the backlog has room again.
	made chan struct{}

	draining sync.Mutex // guards what follows; taken before mu
	reading  *chunk     // is being decoded, or nil
	event    event.Event

	mu      sync.Mutex // guards what follows, and the ring's memory against close
	closed  bool
	record  ringbuf.Record
	backlog *backlog
}

func newReader(events *ebpf.Map, hooks *event.Hooks) (*reader, error) {
	ring, err := ringbuf.NewReader(events)
	if err != nil {
		return nil, err
	}
	// A deadline that has passed makes every read a poll.
	ring.SetDeadline(time.Unix(1, 0))
	threshold, _ := wake(events.MaxEntries())
	backlog, err := newBacklog(int(events.MaxEntries()))
	if err != nil {
		return nil, errors.Join(err, ring.Close())
	}
	r := &reader{ring: ring, threshold: int(threshold), hooks: hooks, made: make(chan struct{}, 1), backlog: backlog}
	if err := r.openWake(events.FD()); err != nil {
		return nil, errors.Join(err, backlog.close(), ring.Close())
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
	r.draining.Lock()
	defer r.draining.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading != nil {
		err = errors.Join(err, r.backlog.giveBack(r.reading))
		r.reading = nil
	}
	return errors.Join(err, r.backlog.close(), r.ring.Close())
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

// waitError says how a wait ended: the tick and the wake-up are not errors.
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
