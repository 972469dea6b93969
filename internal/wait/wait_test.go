// SPDX-License-Identifier: Apache-2.0

package wait_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dwelltrace/dwell/internal/wait"
)

func TestFor(t *testing.T) {
	for name, tc := range map[string]struct {
		d, cancelled, waited time.Duration
		want                 bool
	}{
		"over":               {time.Minute, time.Hour, time.Minute, true},
		"nothing":            {0, time.Hour, 0, true},
		"cancelled":          {time.Hour, time.Minute, time.Minute, false},
		"cancelled before":   {time.Hour, 0, 0, false},
		"over and cancelled": {0, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tc.cancelled)
				defer cancel()
				start := time.Now()
				if got := wait.For(ctx, tc.d); got != tc.want {
					t.Errorf("For(%v) is %v", tc.d, got)
				}
				if waited := time.Since(start); waited != tc.waited {
					t.Errorf("it took %v", waited)
				}
			})
		})
	}
}
