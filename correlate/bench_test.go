// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// BenchmarkPing is the cost of one ping through the bridge topology, from its events
// to its trace.
func BenchmarkPing(b *testing.B) {
	s := newSim()
	s.ping(1)
	spans := 0
	c := correlate.New(correlate.Options{Resolver: newCached(), Emit: func(t *trace.Trace) { spans = len(t.Spans) }})
	shift := s.events[len(s.events)-1].Time - s.events[0].Time + 1000
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		for i := range s.events {
			ev := s.events[i]
			ev.Time += uint64(n) * shift
			ev.Seq, ev.Payload[8] = uint16(n), byte(n>>16)
			c.Add(&ev)
		}
		c.Advance(s.events[0].Time + uint64(n)*shift)
	}
	c.Flush()
	b.ReportMetric(float64(len(s.events)), "events/op")
	b.ReportMetric(float64(spans), "spans/op")
}

// cached answers as the real resolver does: from memory.
type cached struct {
	names
	devs map[[2]uint32]*trace.Device
	nss  map[uint32]*trace.NetNS
}

func newCached() *cached {
	c := &cached{devs: map[[2]uint32]*trace.Device{}, nss: map[uint32]*trace.NetNS{}}
	for _, d := range simDevs {
		c.devs[[2]uint32{d.ns, d.index}] = names{}.Device(d.ns, d.index)
		c.nss[d.ns] = names{}.NetNS(d.ns)
	}
	return c
}

func (c *cached) Device(ns, i uint32) *trace.Device { return c.devs[[2]uint32{ns, i}] }
func (c *cached) NetNS(ns uint32) *trace.NetNS      { return c.nss[ns] }
