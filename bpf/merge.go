// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"math"
	"time"
)

// stalled is for how long what other CPUs wrote waits for a record that is being written: the
// program may have been interrupted.
const stalled = uint64(100 * time.Millisecond)

// merger goes through the records of all rings in the order of their times. Those of one ring
// have that order already, but for programs that interrupted each other. Of a record that is
// being written the time is not known yet: what other rings have waits for it, unless that is
// older than when there was no such record. What is younger than the call waits for the next:
// what led to it may have been written to a ring that had been looked at already.
type merger struct {
	now uint64
	// active are the rings in which there is something to be read.
	active []*ring
	// horizon is up to which time nothing is missing.
	horizon uint64
}

// merge calls fn with the records that were written before now, which is the time, until fn returns
// false; the record is then still there. It is nil if there is one that cannot be read, and with it
// what is behind it in that ring is skipped. merge reports whether those were all.
func (rs *rings) merge(now uint64, fn func(r *ring, record []byte) bool) (all bool) {
	m := &rs.merger
	m.now, m.horizon, m.active = now, now, m.active[:0]
	for i := range rs.all {
		r := &rs.all[i]
		if r.limit = r.observe(); r.limit != r.read {
			m.active = append(m.active, r)
		} else {
			r.complete = now
		}
	}
	all = true
	for len(m.active) > 0 {
		first, until, waits := m.earliest()
		all = all && !waits
		if first < 0 {
			break
		}
		r := m.active[first]
		more := r.take(until, fn)
		r.giveBack()
		if !more {
			return false
		}
		if r.read == r.limit {
			r.complete = now
			m.drop(first)
		}
	}
	return all
}

// earliest returns the ring whose next record is the oldest, or -1, and up to which time no other ring
// has one. Rings in which a record is being written are left out, and waits is then set.
func (m *merger) earliest() (first int, until uint64, waits bool) {
	first, oldest, second := -1, uint64(math.MaxUint64), uint64(math.MaxUint64)
	for i := 0; i < len(m.active); {
		r := m.active[i]
		t := r.time()
		if t == 0 {
			waits = true
			m.wait(r)
			m.drop(i)
			continue
		}
		if t < oldest {
			first, oldest, second = i, t, oldest
		} else {
			second = min(second, t)
		}
		i++
	}
	if first >= 0 && oldest > m.horizon {
		return -1, 0, waits
	}
	return first, min(second, m.horizon), waits
}

// wait lowers the horizon to what is known of a ring in which a record is being written.
func (m *merger) wait(r *ring) {
	if known := max(r.complete, r.last); m.now < known+stalled {
		m.horizon = min(m.horizon, known)
	}
}

func (m *merger) drop(i int) {
	last := len(m.active) - 1
	m.active[i] = m.active[last]
	m.active = m.active[:last]
}

// take calls fn with the ring's records up to a time, and reports whether it shall go on.
func (r *ring) take(until uint64, fn func(r *ring, record []byte) bool) bool {
	for r.read != r.limit {
		if t := r.time(); t == 0 || t > until {
			return true
		}
		record := r.record()
		if !fn(r, record) {
			return false
		}
		if record == nil {
			r.skip()
		} else {
			r.pass(record)
		}
	}
	return true
}
