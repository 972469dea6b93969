// SPDX-License-Identifier: Apache-2.0

// Package wait pauses for as long as a context allows. A bare sleep would hold up whoever ends the
// program, and a timer that is left behind would keep memory until it fires.
package wait

import (
	"context"
	"time"
)

// For waits for d, and reports whether ctx is still good then: false as soon as it is done.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil // both may be over
	}
}
