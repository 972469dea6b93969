// SPDX-License-Identifier: Apache-2.0

package agent

import "time"

// Backlog is what waits on the way from the kernel to a trace. The zero value is nothing.
type Backlog struct {
	// Unread is how many bytes of events wait to be read, in the ring and in memory, and Room
	// for how many there is room: beyond that, events are lost.
	Unread, Room int
	// Behind is how old the oldest event may be that is unread: the time since up to which all
	// have been read. It is no less than a few milliseconds, and mostly no more than 0.2 s,
	// because that is how often they are read.
	Behind time.Duration
	// OpenFor is how long the ping that has been open for longest has been so, 0 if none is.
	OpenFor time.Duration
}

// backlog returns what waits now. oldest is when the ping began that has been open for longest,
// on the events' clock, or 0.
func (a *Agent) backlog(oldest uint64) (b Backlog) {
	last := a.status.Load()
	if last == nil || !last.attached {
		return Backlog{} // nothing is recorded
	}
	var err error
	if b.Unread, b.Room, err = a.tracer.Unread(); err != nil { // it has just ended
		return Backlog{}
	}
	now, err := a.now()
	if err != nil {
		return Backlog{}
	}
	b.Behind = since(last.latest, now)
	if oldest != 0 {
		b.OpenFor = since(oldest, now)
	}
	return b
}

// since returns the time from one to the other, on the events' clock.
func since(before, now uint64) time.Duration { return time.Duration(now - min(before, now)) }
