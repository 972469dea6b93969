// SPDX-License-Identifier: Apache-2.0

package bpf

import "github.com/dwelltrace/dwell/correlate/event"

// batchEvents is how many events are made of what is in the rings before they are handed on: so few
// that the CPU still has them in its cache, and so many that what a batch costs does not matter.
const batchEvents = 64

// readDirectly calls fn for no more than limit events that are in the rings, without a way through the
// backlog. It ends when there is a record in that, which is then older than those in the rings, and
// reports so as behind; otherwise it reports whether those were all. The lock is not held while fn
// runs: the rings may have to be gathered meanwhile.
func (r *reader) readDirectly(now uint64, limit int, fn func(*event.Event)) (n int, all, behind bool, err error) {
	for {
		got, all, stopped, err := r.batch(now, min(limit-n, batchEvents))
		if err != nil || got < 0 {
			return n, false, err == nil, err
		}
		for i := range got {
			fn(&r.events[i])
		}
		n += got
		if !stopped || n == limit {
			return n, all, false, nil
		}
	}
}

// batch makes events of no more than limit records that are in the rings, and returns how many, or -1
// if there are records in the backlog. It reports whether they are all, and whether it stopped because
// of the limit.
func (r *reader) batch(now uint64, limit int) (n int, all, stopped bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return 0, false, false, ErrClosed
	case r.reading != nil || r.backlog.bytes > 0:
		return -1, false, false, nil
	}
	all = r.rings.merge(now, func(l *ring, record []byte) bool {
		if n == limit {
			stopped = true
			return false
		}
		if whole := r.whole(l, record); whole != nil {
			decode(whole, &r.events[n])
			n++
		} else {
			r.malformed.Add(1)
		}
		return true
	})
	return n, all, stopped, nil
}
