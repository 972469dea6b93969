// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"slices"
	"time"
)

// Echo is one request and its reply.
type Echo struct {
	Seq uint16
	// Sent is when the request was handed to the kernel, Received when the reply
	// was taken from the socket; zero if it was not. Both carry a monotonic reading.
	Sent, Received time.Time
	// Duplicates counts the replies after the first.
	Duplicates int
	// Err says why the kernel did not take the request.
	Err error
}

// Lost reports whether no reply came.
func (e Echo) Lost() bool { return e.Received.IsZero() }

// RTT returns the time from request to reply, or 0 if the echo was lost.
func (e Echo) RTT() time.Duration {
	if e.Lost() {
		return 0
	}
	return e.Received.Sub(e.Sent)
}

// Report is what became of the echoes.
type Report struct {
	// ID is the echo identifier that was used.
	ID uint16
	// Echoes holds one entry a request, in order of sending.
	Echoes []Echo
}

// Received counts the echoes that were answered.
func (r *Report) Received() int { return len(r.Echoes) - r.Lost() }

// Lost counts the echoes that were not answered.
func (r *Report) Lost() int {
	n := 0
	for _, e := range r.Echoes {
		if e.Lost() {
			n++
		}
	}
	return n
}

// Duplicates counts the replies after the first to each echo.
func (r *Report) Duplicates() int {
	n := 0
	for _, e := range r.Echoes {
		n += e.Duplicates
	}
	return n
}

// RTTs returns the round-trip times of the echoes that were answered, the
// shortest first.
func (r *Report) RTTs() []time.Duration {
	rtts := make([]time.Duration, 0, len(r.Echoes))
	for _, e := range r.Echoes {
		if !e.Lost() {
			rtts = append(rtts, e.RTT())
		}
	}
	slices.Sort(rtts)
	return rtts
}
