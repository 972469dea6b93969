// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"time"

	"github.com/dwelltrace/dwell/internal/clock"
)

// One goroutine has namespaces looked at, one after the other, while there are any to be looked at:
// serve. All others ask it to and read the snapshots that come of it; whoever may not wait for
// that has [View].

// request is what becomes of a wish for a look.
type request struct {
	// comes is set if there will be a look, now or later.
	comes bool
	// done is closed when the look is over that there is now, nil if there is none, and deadline
	// is until when to wait for it. denied is set if the budget has nothing left for one.
	done     <-chan struct{}
	deadline time.Time
	denied   bool
}

// ask wishes for a look at the namespace, and waits for nothing.
func (v *Inventory) ask(s *space, n need) request {
	now := v.cfg.Now()
	if now.Before(s.snapshot.Load().rest) {
		return request{comes: n == urgent} // as soon as it is asked for then
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underway != nil {
		return request{comes: true, done: s.underway, deadline: s.deadline}
	}
	if now.Before(s.snapshot.Load().rest) {
		return request{comes: n == urgent}
	}
	granted, waits := v.admit(s, n, now)
	if !granted {
		return request{comes: waits, denied: true}
	}
	if !v.grant(s, now) {
		return request{denied: true}
	}
	return request{comes: true, done: s.underway, deadline: s.deadline}
}

// admit reports whether the budget has a look at the namespace, or else whether that waits until it
// does, because it is urgent.
func (v *Inventory) admit(s *space, n need, now time.Time) (granted, waits bool) {
	if n == refresh {
		if v.budget.take(n, now) {
			return true, false
		}
		v.waiting.postponed.Add(1)
		return false, false
	}
	if !v.waiting.any() && v.budget.take(n, now) {
		return true, false
	}
	if !v.begin() {
		return false, false // nobody looks at anything any more
	}
	waits, serve := v.waiting.add(s, now)
	if serve {
		go v.serve()
	} else {
		v.looking.Done()
	}
	return false, waits
}

// grant has a namespace looked at for which the budget had something left. It reports false if the
// inventory is closed. The caller holds s.mu.
func (v *Inventory) grant(s *space, now time.Time) bool {
	if !v.begin() {
		return false
	}
	s.underway, s.deadline = make(chan struct{}), now.Add(v.cfg.MaxWait)
	if v.waiting.grant(s) {
		v.looking.Add(1) // it is not 0, because this look has begun
		go v.serve()
	}
	return true
}

// await has the namespace looked at and waits for that, unless the budget has nothing left for it,
// no longer than MaxWait from its beginning.
func (v *Inventory) await(s *space, n need) *snapshot {
	r := v.ask(s, n)
	switch now := v.cfg.Now(); {
	case r.done != nil:
		waitFor(r.done, r.deadline.Sub(now))
	case r.denied:
		v.recall(s, now)
	}
	return v.judged(s, v.cfg.Now())
}

// serve has those looked at that are to be, one after the other, as the budget allows.
func (v *Inventory) serve() {
	defer v.looking.Done()
	for {
		look, name, wait := v.waiting.next()
		switch {
		case look != nil:
			v.lookAside(look)
		case name != nil:
			v.recall(name, v.cfg.Now())
			v.tell()
		case wait == nil:
			v.tell()
			return
		default:
			if !v.serveFirst(wait) && v.waiting.leave() {
				return
			}
		}
	}
}

// serveFirst has the namespace looked at that has been waiting for the budget for longest, or waits
// for that and for others. It reports false if the inventory is closed.
func (v *Inventory) serveFirst(s *space) bool {
	now := v.cfg.Now()
	if !v.budget.take(urgent, now) {
		return v.pause(v.budget.wait(now))
	}
	v.waiting.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.underway != nil || v.grant(s, now)
}

// lookAside looks at the namespace in a goroutine of its own, and waits until that is done or takes
// long: one that is stuck keeps no other waiting.
func (v *Inventory) lookAside(s *space) {
	s.mu.Lock()
	done := s.underway
	s.mu.Unlock()
	v.waiting.remove(s)
	go func() {
		defer v.looking.Done()
		v.budget.spend(clock.CPU(func() { v.lookAt(s) }))
		s.mu.Lock()
		s.underway = nil
		s.mu.Unlock()
		close(done)
		v.tell()
	}()
	waitFor(done, Soon)
}

// tell says that there may be other answers now, or that there will be no others.
func (v *Inventory) tell() {
	if v.cfg.Looked != nil {
		v.cfg.Looked()
	}
}

// pause waits, no longer than until another namespace is to be looked at. It reports false if the
// inventory is closed.
func (v *Inventory) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-v.waiting.arrived:
		return true
	case <-v.closing:
		return false
	}
}

// Spend notes that its caller has used CPU time to look for namespaces, so that less is left
// for looking at them.
func (v *Inventory) Spend(d time.Duration) { v.budget.spend(d) }
