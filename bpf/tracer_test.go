// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/correlate/event"
)

func TestRingOverflow(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{RingBytes: 4096}, b)
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{b.inode}}); err != nil {
		t.Fatal(err)
	}
	const pings, each = 200, 5
	p := a.pinger(false)
	for i := range pings {
		p.ping("192.0.2.2", i, []byte("more than the ring takes"))
	}
	s, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	sum := s.Total()
	if sum.Emitted+sum.Lost != each*pings || sum.Lost == 0 {
		t.Errorf("emitted %d, lost %d: want %d together", sum.Emitted, sum.Lost, each*pings)
	}
	r.drain()
	if n, err := r.tracer.Emitted(); n != sum.Emitted || err != nil {
		t.Errorf("emitted %d, %v, want %d", n, err, sum.Emitted)
	}
	if len(r.events) != int(sum.Emitted) {
		t.Errorf("read %d events of %d emitted", len(r.events), sum.Emitted)
	}
	// With room again, recording goes on.
	r.events = nil
	p.ping("192.0.2.2", pings, []byte("and one more"))
	r.until(seen(event.NetDevXmit, 1))
}

// TestWakeUp waits for a ring that fills up, with a tick that never comes.
func TestWakeUp(t *testing.T) {
	onOneCPU(t)
	a, b := twoHosts(t)
	r := record(t, Options{RingBytes: 64 << 10}, a, b)
	// Whoever else pings on this machine must not fill the ring.
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{a.inode, b.inode}}); err != nil {
		t.Fatal(err)
	}
	r.drain()
	before, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	woken := make(chan error)
	go func() { woken <- r.tracer.Wait(ctx, time.Hour) }()
	// If the ring were full enough before, it would not have to be woken.
	eventually(t, "the reader waits", func() bool { return parked("bpf.(*reader).wait(") })
	p := a.pinger(false)
	for i := range 64 << 10 / wakeFraction / (64 + 8) / 12 * 2 {
		p.ping("192.0.2.2", i, []byte("wake up"))
	}
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	s, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if lost := s.Total().Lost - before.Total().Lost; lost > 0 {
		t.Errorf("lost %d events", lost)
	}
}

// parked reports whether a goroutine that is in a function waits for a file descriptor.
func parked(function string) bool {
	stacks := make([]byte, 1<<20)
	for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
		head, _, _ := bytes.Cut(stack, []byte("\n"))
		if bytes.Contains(head, []byte("[IO wait")) && bytes.Contains(stack, []byte(function)) {
			return true
		}
	}
	return false
}

func TestWaitEnds(t *testing.T) {
	privileged(t)
	tracer, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	ctx, cancel := context.WithCancel(context.Background())
	if err := tracer.Wait(ctx, time.Millisecond); err != nil {
		t.Errorf("tick: %v", err)
	}
	done := make(chan error)
	go func() { done <- tracer.Wait(ctx, time.Hour) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	go func() { done <- tracer.Wait(context.Background(), time.Hour) }()
	if err := tracer.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestCloseWhileReading closes at all moments of a reader's life.
func TestCloseWhileReading(t *testing.T) {
	privileged(t)
	for range 20 {
		tracer, err := Load(Options{RingBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		reading, done := make(chan struct{}), make(chan error)
		go func() {
			close(reading)
			for {
				if err := tracer.Wait(context.Background(), time.Microsecond); err != nil {
					done <- err
					return
				}
				if _, err := tracer.Drain(func(*event.Event) {}); err != nil {
					done <- err
					return
				}
			}
		}()
		<-reading
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestLifecycle(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, b)
	p := a.pinger(false)
	if err := r.tracer.Attach(); err == nil {
		t.Error("attaching twice did not fail")
	}
	for i := range 3 {
		p.ping("192.0.2.2", i, []byte("seen"))
		r.until(seen(event.NetDevXmit, i+1))
		if err := r.tracer.Detach(); err != nil {
			t.Fatal(err)
		}
		p.ping("192.0.2.2", i, []byte("not seen"))
		if err := r.tracer.Attach(); err != nil {
			t.Fatal(err)
		}
	}
	if want := 3 * 5; len(r.events) != want {
		t.Errorf("%d events, want %d", len(r.events), want)
	}
	for range 2 {
		if err := r.tracer.Close(); err != nil {
			t.Error(err)
		}
	}
	_, statsErr := r.tracer.Stats()
	_, drainErr := r.tracer.Drain(nil)
	_, emittedErr := r.tracer.Emitted()
	for _, err := range []error{r.tracer.Attach(), r.tracer.SetFilter(Filter{}), statsErr, drainErr, emittedErr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestXmitStackHeals begins with a stack full of driver calls that never end.
func TestXmitStackHeals(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, a, b)
	stale := make([]kernelXmitStack, ebpf.MustPossibleCPU())
	for i := range stale {
		stale[i].Depth = uint32(len(stale[i].Frames))
	}
	if err := r.tracer.objs.XmitStacks.Put(uint32(0), stale); err != nil {
		t.Fatal(err)
	}
	p := a.pinger(false)
	for i := range 10 {
		p.ping("192.0.2.2", i, []byte("on a full stack"))
	}
	events := r.until(delivered(10))
	if want := 10 * 12; len(events) != want {
		t.Errorf("%d events, want %d", len(events), want)
	}
	s, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	overflowed := 0
	for i, c := range s.CPU {
		if c.XmitOverflow > 1 {
			t.Errorf("CPU %d: %+v", i, c)
		}
		overflowed += int(c.XmitOverflow)
	}
	if overflowed == 0 {
		t.Error("no overflow counted")
	}
}
