// SPDX-License-Identifier: Apache-2.0

package correlate

// recent remembers which pings were closed lately, so that an event which comes in
// after that is known to be late and does not open a second trace. It is bounded
// by the number of pings and forgets the oldest first.
type recent struct {
	keys map[flowKey]int
	ring []flowKey
	next int
}

func newRecent(size int) recent {
	return recent{keys: make(map[flowKey]int), ring: make([]flowKey, 0, size)}
}

// add remembers that a ping with this key was closed.
func (r *recent) add(k flowKey) {
	if len(r.ring) < cap(r.ring) {
		r.ring = append(r.ring, k)
	} else {
		if old := r.ring[r.next]; r.keys[old] == r.next {
			delete(r.keys, old)
		}
		r.ring[r.next] = k
	}
	r.keys[k] = r.next
	r.next = (r.next + 1) % cap(r.ring)
}

// has reports whether a ping with this key was closed lately.
func (r *recent) has(k flowKey) bool {
	_, ok := r.keys[k]
	return ok
}
