// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Whether events are read directly or gathered first, and however many at a time, each comes out once,
// in the order of time, and it is known whether those are all.
func TestReadAndGather(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const cpus = 2
		w := newWriter(cpus, 1<<15)
		backlog, err := newBacklog(os.Getpagesize())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := backlog.close(); err != nil {
				t.Error(err)
			}
		}()
		r := &reader{rings: w.rings, hooks: event.All(), backlog: backlog}
		last, out, malformed := uint64(0), 0, 0
		take := func(e *event.Event) {
			if e.Time <= last {
				t.Fatalf("an event of %d after one of %d", e.Time, last)
			}
			last, out = e.Time, out+1
		}
		drain := func(t *rapid.T, limit int) (all bool) {
			before, gathered := out, r.reading != nil || backlog.bytes > 0
			n, all, err := r.drain(limit, func(e *event.Event) {
				take(e)
				if n := out - before; n%batchEvents == 1 && rapid.Bool().Draw(t, "gather meanwhile") {
					gathered = true
					if _, err := r.gather(); err != nil {
						t.Error(err)
					}
				}
			})
			if err != nil || n != out-before || n > limit {
				t.Fatalf("%d events of %d at most, said to be %d, error %v", out-before, limit, n, err)
			}
			if !all && !gathered && n < limit {
				t.Fatalf("%d of %d, although there are others and nothing was gathered", n, limit)
			}
			return all
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				for range rapid.IntRange(1, 3*batchEvents).Draw(t, "records") {
					raw := recordOfPing(0)
					if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
						raw[hookOffset] = 0xff
						malformed++
					}
					lost := w.lost[0] + w.lost[1]
					cpu := rapid.IntRange(0, cpus-1).Draw(t, "CPU")
					if w.put(cpu, raw); w.lost[0]+w.lost[1] > lost && raw[hookOffset] == 0xff {
						malformed--
					}
				}
			},
			"gather": func(t *rapid.T) {
				if _, err := r.gather(); err != nil {
					t.Error(err)
				}
			},
			"read some": func(t *rapid.T) {
				limit := rapid.IntRange(0, 3*batchEvents).Draw(t, "limit")
				if all := drain(t, limit); all && out+malformed != w.written {
					t.Fatalf("%d of %d are said to be all", out+malformed, w.written)
				}
			},
			"read": func(t *rapid.T) {
				for !drain(t, 1<<20) { // the backlog is smaller than the rings
				}
				if got := int(r.malformed.Load()); out+malformed != w.written || got != malformed {
					t.Fatalf("%d events of %d, %d malformed of %d", out, w.written, got, malformed)
				}
			},
		})
	})
}
