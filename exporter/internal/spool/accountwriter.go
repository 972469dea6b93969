// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"sync"
	"time"
)

// accountWriter writes the account in a goroutine of its own. A write to the page cache
// takes a microsecond, but it waits for the journal of a busy disk, or for the end of a
// freeze (fsfreeze(8), as for a snapshot of the machine), and Export must not: an agent
// that does not read its ring buffer loses events. One write may carry several changes.
type accountWriter struct {
	write func() (change uint64)

	wake       chan struct{}
	stop, done chan struct{}

	mu sync.Mutex
	// written is the last change that a write had in it.
	written uint64
	// round is closed and replaced after each write.
	round chan struct{}
	// stalled is set while a write takes so long that only those who must wait for it do.
	stalled bool
}

// maxStall is how long Accept and Refuse wait for the disk, once for each time that it
// stalls. A kill in a longer stall is counted wrongly.
const maxStall = time.Second

func startAccountWriter(write func() (change uint64)) *accountWriter {
	w := &accountWriter{
		write: write, wake: make(chan struct{}, 1), round: make(chan struct{}),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go w.work()
	return w
}

func (w *accountWriter) work() {
	defer close(w.done)
	for {
		select {
		case <-w.wake:
		case <-w.stop:
			w.note(w.write()) // for callers that did not wait
			return
		}
		w.note(w.write())
	}
}

func (w *accountWriter) note(written uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written, w.stalled = written, false
	close(w.round)
	w.round = make(chan struct{})
}

// wait returns when the change is written, or, if that must not take long, when the disk
// stalls.
func (w *accountWriter) wait(change uint64, short bool) {
	select {
	case w.wake <- struct{}{}:
	default:
	}
	var limit <-chan time.Time
	if short {
		timer := time.NewTimer(maxStall)
		defer timer.Stop()
		limit = timer.C
	}
	for {
		round, ok := w.outstanding(change, short)
		if !ok {
			return
		}
		select {
		case <-round:
		case <-limit:
			w.mu.Lock()
			w.stalled = w.written < change
			w.mu.Unlock()
			return
		case <-w.done:
			return
		}
	}
}

// outstanding returns what is closed after the next write, and false if there is nothing
// to wait for.
func (w *accountWriter) outstanding(change uint64, short bool) (round <-chan struct{}, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.round, w.written < change && !(short && w.stalled)
}

// end writes what is left and ends the goroutine.
func (w *accountWriter) end() {
	close(w.stop)
	<-w.done
}
