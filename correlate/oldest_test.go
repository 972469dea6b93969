// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Whatever else is done with pings, the one that has been open for longest is known.
func TestOldestIsTold(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Timeout: time.Second})
	if st := c.Stats(); st.Oldest != 0 {
		t.Errorf("oldest %d without a ping", st.Oldest)
	}
	first := s.now
	for seq := range uint16(2) {
		s.request(seq).at(ens3, event.NetDevQueue)
		s.now += uint64(400 * time.Millisecond)
	}
	s.ping(2)
	c.addAll(s.events)
	second := uint64(0)
	for i := range s.events {
		if s.events[i].Seq == 1 {
			second = s.events[i].Time
			break
		}
	}
	if st := c.Stats(); st.Oldest < first || st.Oldest >= second || st.Open != 3 {
		t.Errorf("oldest %d of %d, want that of the first ping, %d to %d", st.Oldest, st.Open, first, second)
	}
	c.Advance(first + uint64(1200*time.Millisecond))
	if st := c.Stats(); st.Oldest != second {
		t.Errorf("oldest %d, want that of the second ping, %d", st.Oldest, second)
	}
	c.Flush()
	if st := c.Stats(); st.Oldest != 0 {
		t.Errorf("oldest %d after all were closed", st.Oldest)
	}
}
