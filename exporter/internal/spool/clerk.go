// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"sync"
	"time"
)

// clerk writes the account in a goroutine of its own. A write to the page cache takes a
// microsecond, but it waits for the journal of a busy disk, or for the end of a freeze
// (fsfreeze(8), as for a snapshot of the machine), and whoever exports must not: an
// agent that does not read its ring buffer loses events. Several changes may go with one
// write.
type clerk struct {
	write func() (change uint64)

	wake       chan struct{}
	stop, done chan struct{}

	mu sync.Mutex
	// written is the last change that a write had in it.
	written uint64
	// round is closed and replaced after each write.
	round chan struct{}
	// stalled is set while a write takes so long that nobody waits for it who need not.
	stalled bool
}

// maxStall is how long Accept and Refuse wait for the disk, once for each time that it
// stalls. A kill in a longer stall is told wrongly.
const maxStall = time.Second

func startClerk(write func() (change uint64)) *clerk {
	c := &clerk{
		write: write, wake: make(chan struct{}, 1), round: make(chan struct{}),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go c.work()
	return c
}

func (c *clerk) work() {
	defer close(c.done)
	for {
		select {
		case <-c.wake:
		case <-c.stop:
			c.note(c.write()) // of those who did not wait
			return
		}
		c.note(c.write())
	}
}

func (c *clerk) note(written uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written, c.stalled = written, false
	close(c.round)
	c.round = make(chan struct{})
}

// wait returns when the change is written, or, if that must not take long, when the disk
// stalls.
func (c *clerk) wait(change uint64, short bool) {
	select {
	case c.wake <- struct{}{}:
	default:
	}
	var limit <-chan time.Time
	if short {
		timer := time.NewTimer(maxStall)
		defer timer.Stop()
		limit = timer.C
	}
	for {
		round, ok := c.outstanding(change, short)
		if !ok {
			return
		}
		select {
		case <-round:
		case <-limit:
			c.mu.Lock()
			c.stalled = c.written < change
			c.mu.Unlock()
			return
		case <-c.done:
			return
		}
	}
}

// outstanding returns what is closed after the next write, and false if there is nothing
// to wait for.
func (c *clerk) outstanding(change uint64, short bool) (round <-chan struct{}, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.round, c.written < change && !(short && c.stalled)
}

// end writes what is left and ends the clerk.
func (c *clerk) end() {
	close(c.stop)
	<-c.done
}
