// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
)

// What is in the ring comes out in parts as it does at once: in order, and all of it.
func TestDrainSome(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, b)
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{b.inode}}); err != nil {
		t.Fatal(err)
	}
	r.drain()
	const pings, each, limit = 48, 5, 50
	p := a.pinger(false)
	for i := range pings {
		p.ping("192.0.2.2", i, []byte("part by part"))
	}
	if err := r.tracer.Detach(); err != nil {
		t.Fatal(err)
	}
	var total, last, parts int
	for all := false; !all; parts++ {
		n, finished, err := r.tracer.DrainSome(limit, func(ev *event.Event) {
			if int(ev.Seq) < last {
				t.Errorf("an event of ping %d after one of ping %d", ev.Seq, last)
			}
			last = int(ev.Seq)
		})
		if err != nil || n > limit || n < limit && !finished {
			t.Fatalf("%d events, all: %v, error %v", n, finished, err)
		}
		total, all = total+n, finished
	}
	if r.tracer.reader.reading != nil {
		t.Error("keeps memory from which all has been read")
	}
	if total != each*pings || last != pings-1 || parts < total/limit {
		t.Errorf("%d events in %d parts, the last of ping %d", total, parts, last)
	}
}
