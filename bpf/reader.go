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

// reader takes records from the rings.
//
// The programs wake it through a BPF ring buffer in which there is nothing else, and it waits
// through Go's own poller on a second descriptor of that.
//
// Between the rings and the consumer of events is a backlog in our own memory: moving a
// record there takes some ten nanoseconds, making traces of it a microsecond or more, and
// a flood of pings writes several in a microsecond.
type reader struct {
	rings     *rings
	wakeups   *ringbuf.Reader // of wake-ups
	wake      *os.File
	conn      syscall.RawConn
	threshold int // unread bytes in one of them from which on the programs wake us
	room      int // bytes in rings and backlog together
	hooks     *event.Hooks

	malformed atomic.Uint64
	// made receives when the backlog has room again.
	made chan struct{}

	draining sync.Mutex // guards what follows; taken before mu
	reading  *chunk     // is being decoded, or nil
	event    event.Event
	events   [batchEvents]event.Event

	mu      sync.Mutex // guards what follows, and the rings' memory against close
	closed  bool
	record  ringbuf.Record
	backlog *backlog
}

// newReader returns the reader of rings that were asked to have a size together.
func newReader(events, signal *ebpf.Map, size int, hooks *event.Hooks) (*reader, error) {
	wakeups, err := ringbuf.NewReader(signal)
	if err != nil {
		return nil, err
	}
	// A deadline that has passed makes every read a poll.
	wakeups.SetDeadline(time.Unix(1, 0))
	rings, err := newRings(events)
	if err != nil {
		return nil, errors.Join(err, wakeups.Close())
	}
	threshold, _ := wake(rings.all[0].size)
	backlog, err := newBacklog(size)
	if err != nil {
		return nil, errors.Join(err, rings.close(), wakeups.Close())
	}
	r := &reader{
		rings: rings, wakeups: wakeups, threshold: int(threshold), room: rings.size() + backlogFactor*size,
		hooks: hooks, made: make(chan struct{}, 1), backlog: backlog,
	}
	if err := r.openWake(signal.FD()); err != nil {
		return nil, errors.Join(err, backlog.close(), rings.close(), wakeups.Close())
	}
	return r, nil
}

func (r *reader) openWake(signal int) error {
	fd, err := unix.FcntlInt(uintptr(signal), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("duplicate the descriptor of wake-ups: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(fmt.Errorf("descriptor of wake-ups: %w", err), unix.Close(fd))
	}
	r.wake = os.NewFile(uintptr(fd), "ringbuf")
	if r.conn, err = r.wake.SyscallConn(); err != nil {
		return errors.Join(fmt.Errorf("descriptor of wake-ups: %w", err), r.wake.Close())
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
	return errors.Join(err, r.backlog.close(), r.rings.close(), r.wakeups.Close())
}

// unread returns the bytes in the fullest ring, or false once it is closed.
func (r *reader) unread() (n int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, false
	}
	// Room for the next wake-up. There is nothing in them.
	_ = r.wakeups.ReadInto(&r.record)
	_, most := r.rings.unread()
	return most, true
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
