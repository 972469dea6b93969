// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/dwelltrace/dwell/internal/echo"
)

// run is one call of Run. Only its own goroutine touches it.
type run struct {
	cfg     Config
	conn    *echo.Conn
	report  *Report
	open    map[uint16]int // echo by sequence number, the latest that used it
	replies chan echo.Reply
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
			if r.cfg.Flood && last && len(r.report.Echoes) >= r.cfg.FloodAfter && !r.sentAll() {
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
	err := r.conn.Send(seq, echo.Payload(r.cfg.Size, sent))
	r.report.Echoes = append(r.report.Echoes, Echo{Seq: seq, Sent: sent, Err: err})
	r.open[seq] = i
	if err == nil {
		r.waiting++
	}
}

// take notes a reply and reports whether it is the first to the latest request.
func (r *run) take(rep echo.Reply) bool {
	i, ok := r.open[rep.Seq]
	if !ok {
		return false
	}
	e := &r.report.Echoes[i]
	// Another ping may use our identifier; it will not have our clock.
	if !bytes.Equal(rep.Payload, echo.Payload(r.cfg.Size, e.Sent)) {
		return false
	}
	if !e.Lost() {
		e.Duplicates++
		return false
	}
	e.Received = rep.At
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

// lastLook is how long a socket is waited on after its deadline, from one packet to the next. With
// a deadline in the past, Go does not read at all; what is there is read at once.
const lastLook = 50 * time.Millisecond

// lastLooks is how long that may take in all, because replies may come without end.
const lastLooks = 10 * time.Second

// receive reads replies until the socket is closed, or is empty after its deadline, and
// then closes the channel. After stop it throws away what nobody waits for any more.
func receive(c *echo.Conn, replies chan<- echo.Reply, stop <-chan struct{}) error {
	defer close(replies)
	buf := make([]byte, 1<<16)
	var end time.Time // of the last looks, once they have begun
	for {
		if !end.IsZero() && c.SetReadDeadline(time.Now().Add(min(lastLook, time.Until(end)))) != nil {
			return nil // closed
		}
		rep, err := c.Receive(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && end.IsZero() {
			end = time.Now().Add(lastLooks)
			continue
		}
		switch {
		case errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, echo.ErrOther):
			continue
		case err != nil:
			return err
		}
		select {
		case replies <- rep:
		case <-stop:
			return nil
		}
	}
}
