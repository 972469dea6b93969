// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"
	"time"

	"github.com/dwelltrace/dwell/internal/loss"
)

// While something is being lost, that is logged at most once in lossPause; if it goes on,
// after doubled pauses up to lossMaxPause. What an exporter loses it logs itself.
const (
	lossPause    = time.Minute
	lossMaxPause = time.Hour
)

// lossLog logs what tracing loses, a line for all kinds together. The zero value has
// logged nothing.
type lossLog struct {
	logged loss.Counts
	pause  time.Duration
	// next is when there may be another line.
	next time.Time
}

// log warns of what was lost since the last line, if anything was and the pause is over.
func (l *lossLog) log(log *slog.Logger, now time.Time, total loss.Counts) {
	if now.Before(l.next) {
		return
	}
	grown := total.Since(l.logged)
	if grown == (loss.Counts{}) {
		l.pause = 0
		return
	}
	log.Warn("tracing has lost something since the last such message; see docs/losses.md", "lost", grown.String())
	l.logged = total
	l.pause = min(max(2*l.pause, lossPause), lossMaxPause)
	l.next = now.Add(l.pause)
}
