// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting bounds the namespaces that wait for a look. One that finds no room is asked for
// again by the next who wants to know about it.
const maxWaiting = 4096

// waiting has the namespaces that must be looked at and for which the budget has nothing left,
// in the order in which they were asked for.
type waiting struct {
	// postponed counts looks that were neither granted nor waited for.
	postponed atomic.Uint64

	mu    sync.Mutex
	queue []*space
	since map[*space]time.Time
	// served is set while there is a goroutine that looks at them.
	served bool
}

// any reports whether there is one.
func (w *waiting) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.since) > 0
}

// add puts a namespace behind the others, unless it is one of them. It reports whether
// somebody must serve them now.
func (w *waiting) add(s *space, now time.Time) (serve bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.since[s]; ok {
		return false
	}
	if len(w.since) >= maxWaiting {
		w.postponed.Add(1)
		return false
	}
	if w.since == nil {
		w.since = map[*space]time.Time{}
	}
	w.since[s] = now
	w.queue = append(w.queue, s)
	serve, w.served = !w.served, true
	return serve
}

// first returns the one that has been waiting for longest, or nil if there is none: then
// nobody serves them any more.
func (w *waiting) first() *space {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 {
		if _, ok := w.since[w.queue[0]]; ok {
			return w.queue[0]
		}
		w.queue = w.queue[1:] // it was looked at
	}
	w.queue, w.served = nil, false
	return nil
}

// remove takes out a namespace that is being looked at now.
func (w *waiting) remove(s *space) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.since, s)
	if len(w.queue) > 0 && w.queue[0] == s {
		w.queue = w.queue[1:]
	}
}

// stats returns how many there are, and since when the first has been waiting.
func (w *waiting) stats() (n int, oldest time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, since := range w.since {
		if oldest.IsZero() || since.Before(oldest) {
			oldest = since
		}
	}
	return len(w.since), oldest
}

// admit reports whether a namespace may be looked at now. If that is urgent and not possible,
// it will be as soon as it is.
func (v *Inventory) admit(s *space, n need, now time.Time) bool {
	if n == refresh {
		if v.budget.take(n, now) {
			return true
		}
		v.waiting.postponed.Add(1)
		return false
	}
	if !v.waiting.any() && v.budget.take(n, now) {
		return true
	}
	if v.waiting.add(s, now) {
		if !v.begin() {
			return false // nobody looks at anything any more
		}
		go v.serve()
	}
	return false
}

// serve looks at those that wait, one after the other, as the budget allows.
func (v *Inventory) serve() {
	defer v.looking.Done()
	for s := v.waiting.first(); s != nil; s = v.waiting.first() {
		now := v.cfg.Now()
		if !v.budget.take(urgent, now) {
			if !v.pause(v.budget.wait(now)) {
				return
			}
			continue
		}
		v.waiting.remove(s)
		s.mu.Lock()
		if s.underway == nil && v.begin() {
			done := make(chan struct{})
			s.underway, s.deadline = done, now.Add(v.cfg.MaxWait)
			go v.lookAside(s, done) // one that is stuck keeps no other waiting
		}
		s.mu.Unlock()
	}
}

// pause waits, and reports false if the inventory is closed.
func (v *Inventory) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-v.closing:
		return false
	}
}

// Spend notes that its caller has used CPU time to look for namespaces, so that less is left
// for looking at them.
func (v *Inventory) Spend(d time.Duration) { v.budget.spend(d) }
