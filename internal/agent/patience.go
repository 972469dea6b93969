// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"time"

	"github.com/dwelltrace/dwell/exporter"
)

// looks is how often Patient looks at the exporter before its patience is at an end.
const looks = 20

// Patient returns a context for an exporter's Export and Shutdown. It is cancelled when
// over is done and e has then sent nothing for as long as patience. A fixed time would
// either be too short for a slow disk with a long queue or too long for a reader that is
// stuck. Only what was sent counts: a queue that is full loses traces all the time. e
// may be nil. The caller must call stop, after which nothing is left running.
func Patient(over context.Context, e exporter.Exporter, patience time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(over))
	if e == nil {
		return ctx, cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-over.Done():
			waitForStandstill(ctx, e, patience)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// waitForStandstill returns when e has sent nothing for as long as patience, or when ctx
// is done.
func waitForStandstill(ctx context.Context, e exporter.Exporter, patience time.Duration) {
	ticker := time.NewTicker(max(patience/looks, 1))
	defer ticker.Stop()
	sent, since := e.Stats().Sent, time.Now()
	for time.Since(since) < patience {
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
