// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
)

// gatherer is a Gather that runs, and what a small ring with one has been given.
type gatherer struct {
	*recorder
	pinger *pinger
	moved  chan struct{}
	end    func() // stops Gather
	pings  int
}

const (
	gatherRing = 64 << 10
	eachPing   = 5 // events on the side that answers
)

func gather(t *testing.T) *gatherer {
	onOneCPU(t)
	a, b := twoHosts(t)
	g := &gatherer{
		recorder: record(t, Options{RingBytes: gatherRing}, b),
		pinger:   a.pinger(false), moved: make(chan struct{}, 1),
	}
	if err := g.tracer.SetFilter(Filter{NetNS: []uint32{b.inode}}); err != nil {
		t.Fatal(err)
	}
	g.drain()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- g.tracer.Gather(ctx, func() {
			select {
			case g.moved <- struct{}{}:
			default:
			}
		})
	}()
	g.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(g.end)
	return g
}

// untilMoved pings until Gather has emptied the ring. Half of it is a quarter and what is
// recorded between two looks, so that one has woken the reader.
func (g *gatherer) untilMoved() {
	g.t.Helper()
	select {
	case <-g.moved:
	default:
	}
	for range gatherRing / 2 / ((eachPing-1)*(headSize+8) + endSize) {
		g.ping(1)
		select {
		case <-g.moved:
			return
		default:
		}
	}
	select {
	case <-g.moved:
	case <-time.After(patience):
		g.t.Fatalf("nothing was moved after %d pings", g.pings)
	}
}

func (g *gatherer) ping(n int) {
	for range n {
		g.pinger.ping("192.0.2.2", g.pings, []byte("nobody drains"))
		g.pings++
	}
}

func (g *gatherer) stats() (emitted, lost uint64) {
	g.t.Helper()
	s, err := g.tracer.Stats()
	if err != nil {
		g.t.Fatal(err)
	}
	sum := s.Total()
	return sum.Emitted, sum.Lost
}

// Nobody drains, and nothing is lost until ring and backlog are full. All of it
// comes out then, in order, and it goes on.
func TestGather(t *testing.T) {
	g := gather(t)
	first, _ := g.stats() // of others, before the filter was set
	for g.pings*eachPing*64 < 2*gatherRing {
		g.untilMoved()
	}
	emitted, lost := g.stats()
	if want := uint64(g.pings * eachPing); emitted-first != want || lost != 0 {
		t.Fatalf("emitted %d, lost %d: want %d and none", emitted-first, lost, want)
	}
	for lost == 0 && g.pings < 10_000 {
		g.ping(1)
		emitted, lost = g.stats()
	}
	if held := (emitted - first) * 64; lost == 0 || held > uint64(g.tracer.reader.room) {
		t.Errorf("holds %d bytes, lost %d", held, lost)
	}
	g.drain()
	if len(g.events) != int(emitted-first) {
		t.Errorf("read %d events of %d", len(g.events), emitted-first)
	}
	for i, e := range g.events[:len(g.events)-eachPing] {
		if after := g.events[i+1]; after.Seq != e.Seq && after.Seq != e.Seq+1 {
			t.Fatalf("event %d is of ping %d, and the next of %d", i, e.Seq, after.Seq)
		}
	}
	g.end()
	g.events = nil
	g.ping(1)
	g.until(seen(event.NetDevXmit, 1))
}

func TestGatherEndsWithTheTracer(t *testing.T) {
	privileged(t)
	tracer, err := Load(Options{RingBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- tracer.Gather(context.Background(), func() {}) }()
	if err := tracer.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
