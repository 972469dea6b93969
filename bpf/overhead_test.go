// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"context"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
)

var floodSummary = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received.* time (\d+)ms`)

// flood runs ping -f in the namespace and returns how long it took. ping prints
// round trips in whole microseconds, which is too coarse here.
func (n *namespace) flood(to string, pings int) time.Duration {
	n.t.Helper()
	var out []byte
	n.do(func() {
		var err error
		out, err = exec.Command("ping", "-n", "-q", "-f", "-c", strconv.Itoa(pings), to).CombinedOutput()
		if err != nil {
			n.t.Fatalf("ping: %v\n%s", err, out)
		}
	})
	m := floodSummary.FindSubmatch(out)
	if m == nil || string(m[1]) != string(m[2]) {
		n.t.Fatalf("ping lost packets:\n%s", out)
	}
	ms, err := strconv.Atoi(string(m[3]))
	n.must(string(m[0]), err)
	return time.Duration(ms) * time.Millisecond
}

// follow drains on a tick until the returned function is called, which gives the
// number of events of the namespaces.
func (r *recorder) follow(tick time.Duration) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	n := 0
	drain := func() {
		_, err := r.tracer.Drain(func(e *event.Event) {
			if r.names[e.NetNS] != nil {
				n++
			}
		})
		if err != nil {
			r.t.Error(err)
		}
	}
	wg.Go(func() {
		for r.tracer.Wait(ctx, tick) == nil {
			drain()
		}
		drain()
	})
	return func() int { cancel(); wg.Wait(); return n }
}

// BenchmarkFlood compares a flood ping over a veth pair with and without tracing.
// Run it with -benchtime 3x: an iteration is one pair of floods.
func BenchmarkFlood(b *testing.B) {
	one, two := twoHosts(b)
	const pings = 100_000
	var plain, traced time.Duration
	var events int
	for b.Loop() {
		plain += one.flood("192.0.2.2", pings)
		r := record(b, Options{}, one, two)
		stop := r.follow(10 * time.Millisecond)
		traced += one.flood("192.0.2.2", pings)
		events += stop()
		stats, err := r.tracer.Stats()
		if err != nil {
			b.Fatal(err)
		}
		if sum := stats.Total(); sum.Lost+stats.Missed+stats.Malformed > 0 {
			b.Errorf("events lost: %+v", stats)
		}
		if err := r.tracer.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(plain)/float64(b.N)/pings, "plain-ns/ping")
	b.ReportMetric(float64(traced)/float64(b.N)/pings, "traced-ns/ping")
	b.ReportMetric(float64(traced)/float64(plain), "ratio")
	b.ReportMetric(float64(events)/float64(b.N)/pings, "events/ping")
}

// BenchmarkDrain measures reading and decoding, an event an iteration.
func BenchmarkDrain(b *testing.B) {
	one, two := twoHosts(b)
	r := record(b, Options{}, one, two)
	var n int
	b.ReportAllocs()
	b.StopTimer()
	b.ResetTimer()
	for n < b.N {
		one.flood("192.0.2.2", 20_000)
		b.StartTimer()
		got, err := r.tracer.Drain(func(*event.Event) {})
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		n += got
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}
