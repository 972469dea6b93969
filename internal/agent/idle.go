// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"time"

	"github.com/dwelltrace/dwell/exporter"
)

// idleChecks is how often the exporter is checked in one idle timeout.
const idleChecks = 20

// WithIdleTimeout returns a context for an exporter's Export and Shutdown. It is cancelled
// once over is done and e has sent nothing for the timeout after that. A fixed deadline
// would be either too short for a slow disk with a long queue or too long for a reader
// that is stuck. Only what was sent counts: a full queue loses traces all the time. e
// may be nil. The caller must call stop, after which nothing is left running.
func WithIdleTimeout(over context.Context, e exporter.Exporter, timeout time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(over))
	if e == nil {
		return ctx, cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-over.Done():
			waitUntilIdle(ctx, e, timeout)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// waitUntilIdle returns when e has sent nothing for the timeout, or when ctx is done.
func waitUntilIdle(ctx context.Context, e exporter.Exporter, timeout time.Duration) {
	ticker := time.NewTicker(max(timeout/idleChecks, 1))
	defer ticker.Stop()
	sent, since := e.Stats().Sent, time.Now()
	for time.Since(since) < timeout {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if now := e.Stats().Sent; now != sent {
			sent, since = now, time.Now()
		}
	}
}
