// SPDX-License-Identifier: Apache-2.0

// Package notice keeps a log short: a bad state is told once when it begins and once
// when it ends, and one that comes and goes is told once in a while.
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

// Set notes the state and reports whether to tell of it. That it is on is told if that
// was not told yet, and not told of an earlier time within the last [Pause]; that it is
// off, if it was told to be on.
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
