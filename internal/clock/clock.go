// SPDX-License-Identifier: Apache-2.0

// Package clock relates the kernel's monotonic clock, on which events are timed, to
// the wall clock, on which traces are.
//
// The two cannot be read at the same instant. Reading monotonic, wall, monotonic
// bounds the error by the time between the two outer readings; of several tries the
// tightest is kept. A trace is moved by one offset, so that its intervals stay exact
// to the nanosecond, whatever the error.
package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// tries is how many readings are made, of which the tightest is kept.
const tries = 8

// resyncAfter is how old an offset may become: NTP slews the wall clock by up to 500
// parts per million (adjtimex(2)), so this keeps the error below 1 ms.
const resyncAfter = uint64(time.Second)

// Reading is one reading of a clock, in nanoseconds.
type Reading func() (uint64, error)

// Wall reads CLOCK_REALTIME, nanoseconds since the Unix epoch.
func Wall() (uint64, error) { return read(unix.CLOCK_REALTIME) }

func read(id int32) (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0, fmt.Errorf("reading clock %d: %w", id, err)
	}
	return uint64(ts.Nano()), nil
}

// Converter gives the offset from the monotonic to the wall clock. It is not safe for
// concurrent use.
type Converter struct {
	monotonic, wall Reading
	offset          int64
	synced          uint64
}

// New returns a Converter for the two clocks, and an error if they cannot be read.
func New(monotonic, wall Reading) (*Converter, error) {
	c := &Converter{monotonic: monotonic, wall: wall}
	return c, c.sync()
}

// Offset returns what to add to a monotonic time to get wall-clock time. It is
// measured anew once it is a second old; now is the monotonic time. If a clock cannot
// be read any more, the last offset stays good.
func (c *Converter) Offset(now uint64) int64 {
	if now >= c.synced+resyncAfter {
		_ = c.sync() // it was readable in New
	}
	return c.offset
}

// sync measures the offset.
func (c *Converter) sync() error {
	tightest := ^uint64(0)
	for range tries {
		before, err1 := c.monotonic()
		wall, err2 := c.wall()
		after, err3 := c.monotonic()
		for _, err := range []error{err1, err2, err3} {
			if err != nil {
				return err
			}
		}
		if width := after - before; width < tightest {
			tightest = width
			c.offset = int64(wall) - int64(before+width/2)
			c.synced = after
		}
	}
	return nil
}
