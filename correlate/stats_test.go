// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Whatever its outcome, a ping is counted once.
func TestEachOutcomeIsCounted(t *testing.T) {
	for _, o := range trace.Outcomes() {
		s := Stats{Incomplete: map[trace.Cause]uint64{}}
		s.count(&trace.Trace{Outcome: o, Cause: trace.CauseNoReply})
		if s.Pings() != 1 {
			t.Errorf("%s: %+v", o, s)
		}
	}
}
