// SPDX-License-Identifier: Apache-2.0

package ruletrace_test

import (
	"math"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/ruletrace"
)

// Every reason that a program may give has its word, and what none gives has none.
func TestFastPathReasons(t *testing.T) {
	f := ruletrace.NewFastPath(nil)
	for _, r := range flow.Reasons() {
		if got := f.FastPathReason(uint16(r)); got != r.String() || got == "" {
			t.Errorf("reason %d is called %q, want %q", r, got, r)
		}
	}
	for _, code := range []uint16{uint16(len(flow.Reasons())), math.MaxUint16} {
		if got := f.FastPathReason(code); got != "" {
			t.Errorf("reason %d is called %q", code, got)
		}
	}
}
