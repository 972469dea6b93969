// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
)

// loadSharing loads programs that have a number of rings, whatever the number of CPUs.
func loadSharing(t testing.TB, opts Options, count int, each uint64) *Tracer {
	t.Helper()
	tracer, err := tryLoadSharing(t, opts, count, each)
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// tryLoadSharing is loadSharing where the kernel may refuse.
func tryLoadSharing(t testing.TB, opts Options, count int, each uint64) (*Tracer, error) {
	t.Helper()
	privileged(t)
	spec, err := opts.spec()
	if err != nil {
		t.Fatal(err)
	}
	var vars kernelVariableSpecs
	if err := spec.Assign(&vars); err != nil {
		t.Fatal(err)
	}
	if err := sizeRings(spec, &vars, count, each); err != nil {
		t.Fatal(err)
	}
	return load(opts, spec, event.All())
}

// flooder pings from one CPU, in namespaces of its own.
type flooder struct {
	cpu int
	*pinger
}

// flooders returns one for each CPU, but no more than four, and the namespaces.
func flooders(t *testing.T) (all []flooder, in []*namespace) {
	t.Helper()
	for cpu := 0; cpu < 1024 && len(all) < 4; cpu++ {
		undo, ok := pinTo(t, cpu)
		if !ok {
			continue
		}
		undo()
		a, b := twoHostsCalled(t, fmt.Sprintf("a%d", cpu), fmt.Sprintf("b%d", cpu))
		f := flooder{cpu, a.pinger(false)}
		f.id = cpu + 1
		all, in = append(all, f), append(in, a, b)
	}
	return all, in
}

// flood sends pings from all CPUs at once, and calls meanwhile until all have their replies.
func flood(t *testing.T, all []flooder, pings int, meanwhile func()) {
	t.Helper()
	var wg sync.WaitGroup
	for _, f := range all {
		wg.Go(func() {
			undo, ok := pinTo(t, f.cpu)
			if !ok {
				t.Errorf("CPU %d may not be used any more", f.cpu)
				return
			}
			defer undo()
			for seq := range pings {
				f.ping("192.0.2.2", seq, []byte("from all CPUs at once"))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		default:
			meanwhile()
		}
	}
}

// All CPUs write at once, into rings that are almost always full, and each event is received or is
// counted as lost; those of a ping in the order in which they were. So it is if CPUs share a ring, as
// one does that was added after Load.
func TestFloodFromEachCPU(t *testing.T) {
	for _, tt := range []struct {
		name        string
		each, rings int
	}{
		{"small rings", 4096, 0},
		{"a shared ring", 4 << 20, 1}, // with room for all
		{"a small shared ring", 4096, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const pings, each = 500, 12
			all, in := flooders(t)
			running, err := runningCPUs()
			if err != nil {
				t.Fatal(err)
			}
			if tt.rings == 0 {
				tt.rings = running
			}
			r := recordWith(t, loadSharing(t, Options{RingBytes: tt.each}, tt.rings, uint64(tt.each)), in...)
			var inodes []uint32
			for _, n := range in {
				inodes = append(inodes, n.inode)
			}
			if err := r.tracer.SetFilter(Filter{NetNS: inodes}); err != nil {
				t.Fatal(err)
			}
			r.drain()
			before := total(t, r.tracer)
			received := uint64(0)
			type ping struct{ id, seq uint16 }
			type kind struct {
				hook event.Hook
				typ  event.Type
				code uint32
			}
			last, seen := map[ping]uint64{}, map[kind]int{}
			take := func(e *event.Event) {
				p := ping{e.ID, e.Seq}
				if received++; e.Time < last[p] {
					t.Errorf("ping %+v: %s comes after what was %d ns later", p, e.Hook, last[p]-e.Time)
				}
				last[p] = e.Time
				seen[kind{e.Hook, e.Type, e.Code}]++
			}
			drain := func() {
				if _, err := r.tracer.Drain(take); err != nil {
					t.Error(err)
				}
			}
			flood(t, all, pings, drain)
			want := uint64(len(all) * pings * each)
			var emitted, lost uint64
			for begin := time.Now(); ; {
				drain()
				sum := total(t, r.tracer)
				emitted, lost = sum.Emitted-before.Emitted, sum.Lost-before.Lost
				if emitted+lost >= want && received == emitted || time.Since(begin) > patience {
					break
				}
			}
			stats, err := r.tracer.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if received != emitted || emitted+lost != want || stats.Malformed+stats.Missed > 0 {
				t.Errorf("received %d events, emitted %d, lost %d, want %d together; malformed %d, missed %d; received, by hook, type and code: %v",
					received, emitted, lost, want, stats.Malformed, stats.Missed, seen)
			}
			t.Logf("lost %d of %d", lost, want)
		})
	}
}

func total(t testing.TB, tracer *Tracer) CPUStats {
	t.Helper()
	s, err := tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s.Total()
}
