// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"os"
	"time"
)

// ages knows since when what is on disk has been waiting. The files do not say: what an earlier
// process has left is taken to be as old as the last change of its file.
type ages struct {
	// stamps are in the order of the records; each is about those from its own to the next.
	stamps []stamp
	// inFlight is since when the batch in flight has been waiting, zero if there is none.
	inFlight time.Time
}

// stamp says that a record has been waiting since then.
type stamp struct {
	number uint64
	since  time.Time
}

const (
	// stampEvery is how far apart stamps are at least, and stampPart what part of their age
	// that is: a day takes some two thousand of them.
	stampEvery = time.Second
	stampPart  = 256
)

// add notes that a record is behind all others, and since when it has been waiting.
func (a *ages) add(number uint64, since time.Time) {
	if n := len(a.stamps); n > 0 {
		apart := since.Sub(a.stamps[n-1].since)
		if apart >= 0 && apart < max(stampEvery, since.Sub(a.stamps[0].since)/stampPart) {
			return
		}
	}
	a.stamps = append(a.stamps, stamp{number, since})
}

// takeOut notes that what was next is in flight, of which first is the number.
func (a *ages) takeOut(first uint64) {
	a.forget(first)
	if len(a.stamps) > 0 {
		a.inFlight = a.stamps[0].since
	}
}

// postpone notes that what is in flight is now a record behind all others.
func (a *ages) postpone(number uint64) {
	since := a.inFlight
	if since.IsZero() {
		since = time.Now()
	}
	a.add(number, since)
	a.inFlight = time.Time{}
}

// forget forgets about the records before first.
func (a *ages) forget(first uint64) {
	n := 0
	for n+1 < len(a.stamps) && a.stamps[n+1].number <= first {
		n++
	}
	a.stamps = a.stamps[n:]
}

// oldest returns since when that has been waiting which has for longest: of the records from
// first on, if there are some, and of what is in flight. It is zero if nothing is.
func (a *ages) oldest(first uint64, some bool) time.Time {
	oldest := a.inFlight
	if !some {
		a.stamps = nil
		return oldest
	}
	a.forget(first)
	for _, s := range a.stamps { // those that were postponed are not in order
		if oldest.IsZero() || s.since.Before(oldest) {
			oldest = s.since
		}
	}
	return oldest
}

// changed returns when a file was last written, or now if that cannot be found out.
func changed(f *os.File) time.Time {
	info, err := f.Stat()
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}
