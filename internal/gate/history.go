// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"sync"
	"sync/atomic"
)

// Forever is the end of what has none yet.
const Forever = math.MaxUint64

// History knows which thresholds were in force, to tell what was seen of a ping as a whole from
// what was seen in part. It is safe for concurrent use. The zero value is of gates that were
// always open. Times are in nanoseconds, on the events' clock.
type History struct {
	closed atomic.Bool // some gate is or was closed

	mu sync.RWMutex
	// base has the thresholds of all gates before they were changed, the highest first, and
	// what ended last last.
	base []reign
	// past has the thresholds above 0 of each identifier that may still matter: of those that
	// were in force later than it no threshold is as high. So the highest comes first, and what
	// ended last is last.
	past map[uint16][]reign
}

// reign says that a threshold was in force until a time.
type reign struct {
	threshold Threshold
	until     uint64
}

// Rebase notes that all gates had one threshold and then another, and that all programs know the other
// from at on: only of pings that pass both all that was seen before was recorded, too. It must be noted
// before the kernel side knows it, with [Forever], and then with the time.
func (h *History) Rebase(before, after Threshold, at uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	higher := max(before, after)
	n := len(h.base)
	for n > 0 && h.base[n-1].threshold <= higher {
		n--
	}
	h.base = append(h.base[:n], reign{higher, at})
	h.closed.Store(true)
}

// Set notes that from at on the threshold is in force at a gate. Where it is raised, it must be noted
// before the kernel side knows it; where it is lowered, afterwards.
func (h *History) Set(id uint16, threshold Threshold, at uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.past[id]
	if n := len(kept); n > 0 && kept[n-1].until == Forever {
		kept[n-1].until = at
	}
	for n := len(kept); n > 0 && kept[n-1].threshold <= threshold; n-- {
		kept = kept[:n-1]
	}
	if threshold > 0 {
		kept = append(kept, reign{threshold, Forever})
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
	h.closed.Store(len(h.past)+len(h.base) > 0)
}

// since returns those that were in force after a time.
func since(reigns []reign, at uint64) []reign {
	n := 0
	for n < len(reigns) && reigns[n].until <= at {
		n++
	}
	return reigns[n:]
}

// Forget forgets what was over before at, so that Tightest must not be asked about times
// before that.
func (h *History) Forget(at uint64) {
	if !h.closed.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.base = since(h.base, at)
	for id, kept := range h.past {
		h.put(id, since(kept, at))
	}
	h.closed.Store(len(h.past)+len(h.base) > 0)
}

// Closed reports whether any gate is closed by itself, or was and may matter still, or all were changed.
func (h *History) Closed() bool { return h.closed.Load() }

// Tightest returns the highest threshold of all gates before they were changed that was in force after
// a time, and the highest of an identifier's own.
func (h *History) Tightest(id uint16, after uint64) (ofAll, own Threshold) {
	if !h.closed.Load() {
		return 0, 0
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return highest(h.base, after), highest(h.past[id], after)
}

// highest returns the highest threshold that was in force after a time.
func highest(reigns []reign, after uint64) Threshold {
	if in := since(reigns, after); len(in) > 0 {
		return in[0].threshold
	}
	return 0
}
