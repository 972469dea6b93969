// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
)

// TestNetfilterWhileRunning attaches and detaches while packets are forwarded. The
// other events stay whole and in order, and each hook that begins ends.
func TestNetfilterWhileRunning(t *testing.T) {
	a, router, _ := routed(t)
	r := record(t, Options{}, router)
	r.netfilter(router)
	done := make(chan struct{})
	var changes atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ; changes.Add(1) {
			select {
			case <-done:
				return
			default:
			}
			if err := r.tracer.DetachNetfilter(router.inode); err != nil {
				t.Error(err)
			}
			if err := r.tracer.AttachNetfilter(router.enter); err != nil {
				t.Error(err)
			}
		}
	})
	// At least so many, and until some have met hooks and some have not: on a busy machine
	// it takes seconds to attach.
	const atLeast = 3000
	pings, netfilter := 0, 0
	p := a.pinger(false)
	for pings < atLeast || changes.Load() == 0 || netfilter == 0 || netfilter == 12*pings {
		p.ping("198.51.100.1", pings&0xffff, []byte("while hooks come and go"))
		r.drain()
		pings++
		netfilter = len(r.events) - 10*pings
	}
	close(done)
	wg.Wait()
	r.drain() // in the ring's order: until sorts
	if tracepoints := count(r.events, func(e *event.Event) bool { return e.Hook.Info().Class == event.Tracepoint }); tracepoints != 10*pings {
		t.Errorf("%d events of tracepoints, want %d", tracepoints, 10*pings)
	}
	checkInOrder(t, r.events)
	r.sound()
}

// checkInOrder checks each CPU's events, which do not interrupt each other: a router
// does all in softirqs.
func checkInOrder(t *testing.T, events []event.Event) {
	t.Helper()
	open, last := map[uint16]event.Event{}, map[uint16]uint64{}
	for _, e := range events {
		if e.Time < last[e.CPU] {
			t.Errorf("CPU %d: %s %d ns too late", e.CPU, e.Hook, last[e.CPU]-e.Time)
		}
		last[e.CPU] = e.Time
		begin := open[e.CPU]
		ends := e.Hook == event.NetfilterLast && e.Code == begin.Code && e.SKB == begin.SKB
		if begin.Hook != 0 && !ends {
			t.Errorf("CPU %d: %s after netfilter_first %s", e.CPU, e.Hook, event.NetfilterHook(begin.Code))
		}
		delete(open, e.CPU)
		if e.Hook == event.NetfilterFirst {
			open[e.CPU] = e
		}
	}
}

// BenchmarkNetfilter compares flood pings through a router: not traced, traced, and
// traced with netfilter. Run it with -benchtime 3x: an iteration is one flood of each.
func BenchmarkNetfilter(b *testing.B) {
	one, router, _ := routed(b)
	const pings = 50_000
	var plain, traced, netfilter time.Duration
	var events, more int
	flood := func(hooks bool) (time.Duration, int) {
		r := record(b, Options{}, router)
		if hooks {
			r.netfilter(router)
		}
		stop := r.follow(10 * time.Millisecond)
		took := one.flood("198.51.100.1", pings)
		n := stop()
		if s, err := r.tracer.Stats(); err != nil || s.Total().Lost+s.Malformed > 0 {
			b.Errorf("events lost: %+v, %v", s, err)
		}
		if err := r.tracer.Close(); err != nil {
			b.Fatal(err)
		}
		return took, n
	}
	for b.Loop() {
		plain += one.flood("198.51.100.1", pings)
		took, n := flood(false)
		traced, events = traced+took, events+n
		took, n = flood(true)
		netfilter, more = netfilter+took, more+n
	}
	perPing := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) / pings }
	b.ReportMetric(perPing(plain), "plain-ns/ping")
	b.ReportMetric(perPing(traced), "traced-ns/ping")
	b.ReportMetric(perPing(netfilter), "netfilter-ns/ping")
	b.ReportMetric(float64(netfilter-traced)/float64(more-events), "ns/netfilter-event")
}

// BenchmarkEmptyHook measures what a hook without chains takes by its events: the part
// of each netfilter interval that is the recording of its own beginning.
func BenchmarkEmptyHook(b *testing.B) {
	one, router, _ := routed(b)
	r := record(b, Options{}, router)
	r.netfilter(router)
	p := one.pinger(false)
	var took []uint64
	for i := range max(b.N, 1000) {
		p.ping("198.51.100.1", i&0xffff, []byte("through empty hooks"))
		r.drain()
		for j := 1; j < len(r.events); j++ {
			if r.events[j].Hook == event.NetfilterLast && r.events[j-1].Hook == event.NetfilterFirst {
				took = append(took, r.events[j].Time-r.events[j-1].Time)
			}
		}
		r.events = r.events[:0]
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	b.ReportMetric(0, "ns/op")
}
