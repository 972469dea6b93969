// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

const (
	// burstEvery is how often an attacker sends, that of a rate.
	burstEvery = time.Millisecond
	// flatOut is how many packets it sends at a time if it is to send as many as it can.
	flatOut = 64
)

// attacker sends frames, one after the other and then anew, from the first CPU: what is measured runs on
// the last.
type attacker struct {
	wire   *traffic.Wire
	frames [][]byte
	rate   int // packets a second, 0 as many as it can
	stop   chan struct{}
	done   chan struct{}
	// What follows is set once it is done.
	sent, refused int
	took          time.Duration
	err           error
}

// startAttack has the frames sent until end is called.
func startAttack(wire *traffic.Wire, frames [][]byte, rate int) *attacker {
	a := &attacker{wire: wire, frames: frames, rate: rate, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = a.run()
	}()
	return a
}

// end stops it, and returns how many packets it sent a second.
func (a *attacker) end() (rate float64, err error) {
	close(a.stop)
	<-a.done
	return float64(a.sent) / a.took.Seconds(), a.err
}

func (a *attacker) run() error {
	runtime.LockOSThread() // for ever: the thread ends with it
	if err := onFirstCPU(); err != nil {
		return err
	}
	begin := time.Now()
	defer func() { a.took = time.Since(begin) }()
	at := 0
	for {
		select {
		case <-a.stop:
			return nil
		default:
		}
		n := flatOut
		if a.rate > 0 {
			// What could not be sent in time is sent later, but not all at once.
			due := int(float64(a.rate) * time.Since(begin).Seconds())
			n = min(due-a.sent-a.refused, max(1, 2*a.rate/int(time.Second/burstEvery)))
		}
		for range n {
			if err := a.send(a.frames[at]); err != nil {
				return err
			}
			at = (at + 1) % len(a.frames)
		}
		if a.rate > 0 {
			rest := unix.NsecToTimespec(burstEvery.Nanoseconds())
			_ = unix.Nanosleep(&rest, nil) // a signal makes it shorter, which is no harm
		}
	}
}

// send sends a frame. What a device has no room for is only counted.
func (a *attacker) send(frame []byte) error {
	err := a.wire.Send(frame)
	switch {
	case err == nil:
		a.sent++
	case errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN):
		a.refused++
	default:
		return err
	}
	return nil
}

// onFirstCPU has the thread stay on the first CPU that it may use.
func onFirstCPU() error {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("CPUs of this thread: %w", err)
	}
	cpu := 0
	for !all.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("staying on one CPU: %w", err)
	}
	return nil
}
