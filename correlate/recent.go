// SPDX-License-Identifier: Apache-2.0

package correlate

// recent remembers which pings were closed lately, so that an event which comes in
// after that is known to be late and does not open a second trace. It is bounded
// by the number of pings and forgets the oldest first.
type recent struct {
	keys map[flowKey]closing
	ring []flowKey
	next int
}

// closing is the end of a closed ping.
type closing struct {
	slot int
	// last is the time of its latest event.
	last uint64
}

func newRecent(size int) recent {
	return recent{keys: make(map[flowKey]closing), ring: make([]flowKey, 0, size)}
}

// add remembers that a ping with this key was closed, whose latest event was at last.
func (r *recent) add(k flowKey, last uint64) {
	if len(r.ring) < cap(r.ring) {
		r.ring = append(r.ring, k)
	} else {
		if old := r.ring[r.next]; r.keys[old].slot == r.next {
			delete(r.keys, old)
		}
		r.ring[r.next] = k
	}
	r.keys[k] = closing{r.next, last}
	r.next = (r.next + 1) % cap(r.ring)
}

// lastOf returns when the latest event was of a ping with this key that was closed
// lately, and whether there is one.
func (r *recent) lastOf(k flowKey) (uint64, bool) {
	c, ok := r.keys[k]
	return c.last, ok
}
