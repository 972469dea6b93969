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

// waiting has the namespaces that are to be looked at, in the order in which they were asked for.
type waiting struct {
	// postponed counts looks that were neither granted nor waited for.
	postponed atomic.Uint64

	mu sync.Mutex
	// granted are those for which the budget had something left, queue those that wait until it
	// has; unnamed are the latter of which nobody has found out what they are called meanwhile.
	granted, queue, unnamed []*space
	since                   map[*space]time.Time
	// served is set while there is a goroutine that looks at them. arrived tells it of new ones.
	served  bool
	arrived chan struct{}
}

// any reports whether there is one for which the budget has nothing left.
func (w *waiting) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.since) > 0
}

// grant puts a namespace behind the others that may be looked at now. It reports whether somebody
// must serve them.
func (w *waiting) grant(s *space) (serve bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.granted = append(w.granted, s)
	return w.wake()
}

// add puts a namespace behind the others that wait for the budget, unless it is one of them. It
// reports whether it waits, and whether somebody must serve them now.
func (w *waiting) add(s *space, now time.Time) (waits, serve bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.since[s]; ok {
		return true, false
	}
	if len(w.since) >= maxWaiting {
		w.postponed.Add(1)
		return false, false
	}
	if w.since == nil {
		w.since = map[*space]time.Time{}
	}
	w.since[s] = now
	w.queue, w.unnamed = append(w.queue, s), append(w.unnamed, s)
	return true, w.wake()
}

func (w *waiting) wake() (serve bool) {
	select {
	case w.arrived <- struct{}{}:
	default: // it has not seen the last yet
	}
	serve, w.served = !w.served, true
	return serve
}

// next returns what is to be done next: a namespace that may be looked at, or one to be named, or
// the one that has been waiting for the budget for longest. If there is none, nobody serves them
// any more.
func (w *waiting) next() (look, name, wait *space) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.granted) > 0 {
		return pop(&w.granted), nil, nil
	}
	if len(w.unnamed) > 0 {
		return nil, pop(&w.unnamed), nil
	}
	for len(w.queue) > 0 {
		if _, ok := w.since[w.queue[0]]; ok {
			return nil, nil, w.queue[0]
		}
		pop(&w.queue) // it was looked at
	}
	w.granted, w.queue, w.unnamed, w.served = nil, nil, nil, false
	return nil, nil, nil
}

// leave reports whether nothing may be looked at now, and so who serves may leave those that wait
// for the budget.
func (w *waiting) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.served = len(w.granted) > 0
	return !w.served
}

func pop(queue *[]*space) *space {
	first := (*queue)[0]
	(*queue)[0] = nil // nothing is kept by what is gone
	*queue = (*queue)[1:]
	return first
}

// remove takes out a namespace that is being looked at now.
func (w *waiting) remove(s *space) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.since, s)
	if len(w.queue) > 0 && w.queue[0] == s {
		pop(&w.queue)
	}
}

// none reports whether nothing is to be looked at or named.
func (w *waiting) none() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.served
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
