// SPDX-License-Identifier: Apache-2.0

package correlate

import "hash/maphash"

// recent remembers which pings were closed lately, so that an event which comes in
// after that is known to be late and does not open a second trace. It is bounded
// by the number of pings and forgets the oldest first.
//
// It is a ring with chains of hashed keys: the last closing of each hash is in heads, and
// each leads to the one before. A chain ends where it leads to what the ring holds no more, so
// that nothing is ever taken out.
type recent struct {
	seed  maphash.Seed
	heads []uint64
	ring  []closing
	// count is how many closings there were. They are numbered from 1. flows is the number of
	// the last one whose key has addresses: most pings are known by content alone.
	count, flows uint64
}

// closing is the end of a closed ping.
type closing struct {
	key flowKey
	// last is the time of its latest event.
	last uint64
	// before is the number of the closing before whose key has the same hash, or 0.
	before uint64
}

// newRecent makes one for as many closings as size, a power of two.
func newRecent(size int) recent {
	return recent{seed: maphash.MakeSeed(), heads: make([]uint64, 2*size), ring: make([]closing, size)}
}

// add remembers that a ping with this key was closed, whose latest event was at last.
func (r *recent) add(k flowKey, last uint64) {
	r.count++
	head := r.head(&k)
	*r.at(r.count) = closing{key: k, last: last, before: *head}
	*head = r.count
	if k.hasFlow() {
		r.flows = r.count
	}
}

// lastOf returns when the latest event was of a ping with this key that was closed
// lately, and whether there is one.
func (r *recent) lastOf(k flowKey) (uint64, bool) {
	if k.hasFlow() && !r.holds(r.flows) {
		return 0, false
	}
	for n := *r.head(&k); r.holds(n); n = r.at(n).before {
		if c := r.at(n); c.key == k {
			return c.last, true
		}
	}
	return 0, false
}

// holds reports whether there is a closing with the number n that is not forgotten.
func (r *recent) holds(n uint64) bool { return n != 0 && r.count-n < uint64(len(r.ring)) }

// head returns where the number of the last closing is whose key has the hash of k.
func (r *recent) head(k *flowKey) *uint64 {
	return &r.heads[maphash.Comparable(r.seed, *k)%uint64(len(r.heads))]
}

// at returns where the closing with the number n is.
func (r *recent) at(n uint64) *closing { return &r.ring[n%uint64(len(r.ring))] }
