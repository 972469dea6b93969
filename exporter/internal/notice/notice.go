// SPDX-License-Identifier: Apache-2.0

// Package notice keeps a log short: a bad state is logged once when it begins and once
// when it ends, and one that comes and goes is logged once in a while.
package notice

import (
	"sync"
	"time"
)

// Pause is the time between two notices that a state has begun.
const Pause = time.Minute

// State is a bad state that may be on or off. The zero value is off. Its methods may be
// called concurrently.
type State struct {
	mu       sync.Mutex
	on, told bool
	last     time.Time
}

// On reports whether the state is on.
func (s *State) On() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// Set notes the state and reports whether to log it. That it is on is logged unless that
// was logged already, or was logged of an earlier time within the last [Pause]; that it
// is off is logged if it was logged as on.
func (s *State) Set(on bool) (tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
	switch {
	case on && !s.told && (s.last.IsZero() || time.Since(s.last) >= Pause):
		s.told, s.last = true, time.Now()
		return true
	case !on && s.told:
		s.told = false
		return true
	}
	return false
}
