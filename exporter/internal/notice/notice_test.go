// SPDX-License-Identifier: Apache-2.0

package notice_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dwelltrace/dwell/exporter/internal/notice"
)

// TestState sets a state at times and checks what is told.
func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s notice.State
		for i, step := range []struct {
			after    time.Duration
			on, tell bool
		}{
			{0, false, false},
			{0, true, true},
			{time.Hour, true, false},
			{0, false, true},
			{0, false, false},
			{0, true, true}, // the last notice was an hour ago
			{time.Second, false, true},
			{time.Second, true, false}, // comes and goes
			{time.Second, false, false},
			{time.Second, true, false},
			{time.Minute, true, true}, // and now stays
			{0, false, true},
		} {
			time.Sleep(step.after) //nolint:forbidigo // the bubble's clock, not ours
			if tell := s.Set(step.on); tell != step.tell || s.On() != step.on {
				t.Errorf("step %d: told %v, want %v; on is %v", i, tell, step.tell, s.On())
			}
		}
	})
}
