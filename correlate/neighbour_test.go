// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// The kernel asks for a neighbour for some seconds, and then drops what waits for it.
func TestPacketThatWaitsForItsNeighbour(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Timeout: time.Second})
	p := s.request(1)
	p.cross(brovsnsNS, brovsnsBR)
	p.at(ovsBR, event.NetifReceiveSKB)
	c.addAll(s.events)
	c.Advance(s.now + uint64(2*time.Second))
	sent := len(s.events)
	s.now += uint64(3 * time.Second)
	p.event(ens3, event.KfreeSKB, 2)
	c.addAll(s.events[sent:])
	c.Advance(s.now + uint64(time.Minute))
	if len(c.traces) != 1 || c.traces[0].Outcome != trace.Dropped || c.Stats().Open != 0 {
		t.Errorf("%v, stats %+v", c.traces, c.Stats())
	}
}

// How many are kept open that long is bounded.
func TestPacketsThatWaitAreBounded(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Timeout: time.Second})
	const pings = 5000
	for i := range pings {
		s.request(uint16(i)).at(ovsBR, event.NetifReceiveSKB)
	}
	c.addAll(s.events)
	c.Advance(s.now + uint64(time.Second))
	if open := c.Stats().Open; open == 0 || open > 4096 || len(c.traces)+open != pings {
		t.Errorf("%d open, %d closed", open, len(c.traces))
	}
	c.Advance(s.now + uint64(time.Minute))
	if len(c.traces) != pings || c.Stats().Open != 0 {
		t.Errorf("%d closed, %+v", len(c.traces), c.Stats())
	}
}
