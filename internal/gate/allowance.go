// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"time"
)

// burst is how many events may come, above what is allowed all the time, before there is a
// limit: about 50,000 pings through the lab's bridge topology.
const burst = 1_200_000

// allowance limits what is traced of a flood that lasts to a part of what could be, because the
// CPU time for it is missing elsewhere. It is a token bucket: whoever only pings now and then,
// even fast, is traced completely.
type allowance struct {
	// spent is how much of the burst is used up, up to the time at, when emitted events had
	// been recorded.
	spent   float64
	at      uint64
	emitted uint64
	// bounded is set from when the burst is used up until there is enough for all again, which
	// there is since calmSince, 0 if there is not.
	bounded   bool
	calmSince uint64
}

// limit returns how many events a second there may be when total would come if all gates were
// open, and steady are allowed all the time.
func (a *allowance) limit(s Sample, total, steady float64) float64 {
	if a.at > 0 {
		elapsed := time.Duration(s.At - a.at).Seconds()
		a.spent += float64(s.Emitted-a.emitted) - steady*elapsed
		a.spent = min(max(a.spent, 0), burst)
	}
	a.at, a.emitted = s.At, s.Emitted
	switch {
	case total > steady:
		a.calmSince = 0
		a.bounded = a.bounded || a.spent >= burst
	case a.calmSince == 0:
		a.calmSince = s.At
	case s.At-a.calmSince > uint64(relief):
		a.bounded = false
	}
	if !a.bounded {
		return math.Inf(1)
	}
	return steady
}
