// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"bytes"
	"context"
	"time"
)

// run is one call of Run. Only its own goroutine touches it.
type run struct {
	cfg     Config
	conn    *conn
	report  *Report
	open    map[uint16]int // echo by sequence number, the latest that used it
	replies chan reply
	waiting int // requests without a reply
}

// loop sends and receives until all is answered, time is out or ctx ends.
func (r *run) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			if r.sentAll() {
				r.timeUp()
				return
			}
			r.send()
			timer.Reset(r.pause())
		case rep, ok := <-r.replies:
			if !ok { // the receiver failed; Run returns its error
				return
			}
			last := r.take(rep)
			if r.sentAll() && r.waiting == 0 {
				return
			}
			if r.cfg.Flood && last && !r.sentAll() {
				timer.Reset(0)
			}
		}
	}
}

// pause is how long to wait after sending: for the time of the next request, or
// for the last replies.
func (r *run) pause() time.Duration {
	if r.sentAll() {
		return r.cfg.Timeout
	}
	return r.cfg.Interval
}

func (r *run) sentAll() bool { return r.cfg.Count > 0 && len(r.report.Echoes) == r.cfg.Count }

// send sends the next request. The first has the sequence number 1, as iputils'.
func (r *run) send() {
	i := len(r.report.Echoes)
	seq := uint16(i + 1)
	sent := time.Now()
	err := r.conn.send(seq, payload(r.cfg.Size, sent))
	r.report.Echoes = append(r.report.Echoes, Echo{Seq: seq, Sent: sent, Err: err})
	r.open[seq] = i
	if err == nil {
		r.waiting++
	}
}

// take notes a reply and reports whether it is the first to the latest request.
func (r *run) take(rep reply) bool {
	i, ok := r.open[rep.seq]
	if !ok {
		return false
	}
	e := &r.report.Echoes[i]
	// Another ping may use our identifier; it will not have our clock.
	if !bytes.Equal(rep.payload, payload(r.cfg.Size, e.Sent)) {
		return false
	}
	if !e.Lost() {
		e.Duplicates++
		return false
	}
	e.Received = rep.at
	r.waiting--
	if r.cfg.OnReply != nil {
		r.cfg.OnReply(*e)
	}
	return i == len(r.report.Echoes)-1
}

// timeUp takes what is in the socket already. If this process was kept from running, that
// is more than the receiver has seen, and nothing of it is lost.
func (r *run) timeUp() {
	if r.conn.SetReadDeadline(time.Now()) != nil {
		return // there is nothing to receive from any more
	}
	r.drain()
}

// drain takes what comes until the receiver ends.
func (r *run) drain() {
	for rep := range r.replies {
		r.take(rep)
	}
}
