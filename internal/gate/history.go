// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"sync"
	"sync/atomic"
)

// forever is the end of what has none yet.
const forever = math.MaxUint64

// History knows which levels were in force, to tell what was seen of a ping as a whole from
// what was seen in part. It is safe for concurrent use. The zero value is of gates that were
// always open. Times are in nanoseconds, on the events' clock.
type History struct {
	closed atomic.Bool // some gate is or was closed

	mu sync.RWMutex
	// past has the levels above 0 of each identifier that may still matter: of those that
	// were in force later than it no level is as high. So the highest comes first, and what
	// ended last is last.
	past map[uint16][]reign
}

// reign says that a level was in force until a time.
type reign struct {
	level Level
	until uint64
}

// Set notes that from at on the level is in force. Where a level is raised, it must be noted
// before the kernel side knows it; where it is lowered, afterwards.
func (h *History) Set(id uint16, level Level, at uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.past[id]
	if n := len(kept); n > 0 && kept[n-1].until == forever {
		kept[n-1].until = at
	}
	for n := len(kept); n > 0 && kept[n-1].level <= level; n-- {
		kept = kept[:n-1]
	}
	if level > 0 {
		kept = append(kept, reign{level, forever})
	}
	h.put(id, kept)
}

// put stores what is known of an identifier. The caller holds mu.
func (h *History) put(id uint16, kept []reign) {
	if len(kept) == 0 {
		delete(h.past, id)
	} else {
		if h.past == nil {
			h.past = map[uint16][]reign{}
		}
		h.past[id] = kept
	}
	h.closed.Store(len(h.past) > 0)
}

// Forget forgets what was over before at, so that Tightest must not be asked about times
// before that.
func (h *History) Forget(at uint64) {
	if !h.closed.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, kept := range h.past {
		n := 0
		for n < len(kept) && kept[n].until <= at {
			n++
		}
		h.put(id, kept[n:])
	}
}

// Closed reports whether any gate is closed, or was and may matter still.
func (h *History) Closed() bool { return h.closed.Load() }

// Tightest returns the highest level that was in force after since.
func (h *History) Tightest(id uint16, since uint64) Level {
	if !h.closed.Load() {
		return 0
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, r := range h.past[id] {
		if r.until > since {
			return r.level
		}
	}
	return 0
}
