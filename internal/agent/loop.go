// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/clock"
)

// loop empties the ring buffer until ctx is done or enough pings are finished.
func (a *Agent) loop(ctx, export context.Context) error {
	for !a.enough() {
		if err := a.turn(export); err != nil {
			return err
		}
		if err := a.tracer.Wait(ctx, tick); ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the context is the end of the run
		} else if err != nil {
			return fmt.Errorf("wait for events: %w", err)
		}
	}
	return nil
}

// enough reports whether Options.Count is reached.
func (a *Agent) enough() bool { return a.opts.Count > 0 && a.summary.Pings() >= a.opts.Count }

// turn takes what is in the ring buffer, closes the pings that are over and sends their
// traces on.
func (a *Agent) turn(export context.Context) error {
	// The clock is read first: the ring buffer then holds all events up to now.
	now, err := clock.Monotonic()
	if err != nil {
		return err
	}
	if _, err := a.tracer.Drain(a.take); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	if err := a.checkLoss(); err != nil {
		return err
	}
	a.correlator.Advance(now)
	a.send(export, now)
	a.publish(!a.finishing)
	return nil
}

// take hands one event on.
func (a *Agent) take(ev *event.Event) {
	a.correlator.Add(ev)
	if a.opts.OnEvent != nil {
		a.opts.OnEvent(ev)
	}
}

// checkLoss tells the correlator if the kernel side has lost events since the last
// time.
func (a *Agent) checkLoss() error {
	now, err := clock.Monotonic()
	if err != nil {
		return err
	}
	stats, err := a.tracer.Stats()
	if err != nil {
		return fmt.Errorf("read counters: %w", err)
	}
	a.summary.Kernel = stats
	if lost := stats.Total().Lost + stats.Missed; lost != a.lost {
		a.lost = lost
		a.correlator.Lost(a.checked, now)
	}
	a.checked = now
	return nil
}

// finish ends the recording and closes all pings.
func (a *Agent) finish(export context.Context) error {
	a.finishing = true
	err := a.tracer.Detach()
	err = errors.Join(err, a.turn(export))
	a.correlator.Flush()
	now, clockErr := clock.Monotonic()
	a.send(export, now)
	a.summary.Correlator = a.correlator.Stats()
	a.publish(false)
	return errors.Join(err, clockErr)
}
