// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"cmp"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// BenchmarkPing is the cost of one ping through the bridge topology, from its events to its
// trace.
func BenchmarkPing(b *testing.B) {
	// One at a time, with a clock in the payload, as iputils sends it.
	b.Run("dated", func(b *testing.B) { benchmarkPings(b, flood{abreast: 1, dated: true}) })
	// The payload does not say which ping it is: addresses and buffers do.
	b.Run("undated", func(b *testing.B) { benchmarkPings(b, flood{abreast: 1}) })
	// Many pings of many programs are on their way at once, on two CPUs.
	b.Run("flood", func(b *testing.B) { benchmarkPings(b, flood{abreast: 16, dated: true, cpus: true}) })
}

// flood says in what order the events of pings come in.
type flood struct {
	// abreast is how many pings are on their way at a time.
	abreast int
	// dated is set if the payload says when a ping was sent.
	dated bool
	// cpus is set if two CPUs record the events, so that neighbours are sometimes out of order.
	cpus bool
}

// interval is the time between the beginnings of two pings, in nanoseconds: at the default grace,
// some 2500 are open.
const interval = 20_000

// events returns those of all pings abreast, as they come in.
func (f flood) events() []event.Event {
	s := newSim()
	var all []event.Event
	for i := range f.abreast {
		s.now, s.events = 1_000_000_000_000+uint64(i)*interval/4, nil
		p := s.request(uint16(i))
		p.id += uint16(i)
		p.send()
		all = append(all, s.events...)
	}
	slices.SortStableFunc(all, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	for i := 5; f.cpus && i+1 < len(all); i += 6 {
		all[i], all[i+1] = all[i+1], all[i]
	}
	return all
}

// benchmarkPings adds pings to one correlator, which closes them when it should.
func benchmarkPings(b *testing.B, f flood) {
	events, spans := f.events(), 0
	opts := correlate.Options{Wall: simWall, Resolver: newCached(), Emit: func(t *trace.Trace) {
		spans = len(t.Spans)
		if t.Local == f.dated {
			b.Fatalf("the payload says when the ping was sent: %v, want %v", !t.Local, f.dated)
		}
	}}
	c := correlate.New(opts)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		if n%uint64(f.abreast) > 0 { // has been added with the one before
			n++
			continue
		}
		for i := range events {
			ev := events[i]
			ev.Time += n * interval
			ev.Seq += uint16(n)
			ev.SKB += n % 512 << 16 // the kernel reuses buffers
			if f.dated {
				binary.LittleEndian.PutUint64(ev.Payload[8:], n*interval/1e3%1e6)
			} else {
				copy(ev.Payload[:], "abcdefghijklmnop") // as ping on Windows sends it
			}
			c.Add(&ev)
		}
		c.Advance(events[0].Time + n*interval)
		n++
	}
	c.Flush()
	if st := c.Stats(); st.Complete < st.Pings()-uint64(f.abreast) || st.Late > 0 {
		b.Fatalf("%+v", st)
	}
	b.ReportMetric(float64(len(events)/f.abreast), "events/op")
	b.ReportMetric(float64(spans), "spans/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)/f.abreast), "ns/event")
}
