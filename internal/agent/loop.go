// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/clock"
)

// loop empties the ring buffer until ctx is done or enough pings are finished.
func (a *Agent) loop(ctx context.Context) error {
	for !a.enough() {
		if err := a.turn(); err != nil {
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
func (a *Agent) turn() error {
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
	a.send(now)
	return a.releaseNetfilter(now)
}

// releaseEvery is how often namespaces are looked for that are kept alive only because
// their netfilter chains are timed.
const releaseEvery = uint64(time.Second)

// releaseNetfilter lets go of namespaces that everybody else has left.
func (a *Agent) releaseNetfilter(now uint64) error {
	if len(a.opts.Netfilter) == 0 || now < a.released+releaseEvery {
		return nil
	}
	a.released = now
	if _, err := a.tracer.ReleaseNetfilter(); err != nil {
		return fmt.Errorf("release network namespaces: %w", err)
	}
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

// send counts the finished traces, moves them to the wall clock and hands them on. It
// stops at Options.Count.
func (a *Agent) send(now uint64) {
	offset := a.clock.Offset(now)
	n := 0
	for _, t := range a.batch {
		if a.enough() {
			break
		}
		t.Rebase(offset)
		a.summary.add(t)
		if a.opts.OnTrace != nil {
			a.opts.OnTrace(t)
		}
		n++
	}
	if a.opts.Exporter != nil && n > 0 {
		// What is lost here is in the exporter's Stats and the error of its Shutdown.
		_ = a.opts.Exporter.Export(context.Background(), a.batch[:n:n])
	}
	if a.opts.Recording != nil {
		a.opts.Recording.Send(offset, len(a.batch), n)
	}
	a.batch = nil
}

// finish ends the recording and closes all pings.
func (a *Agent) finish() error {
	err := a.tracer.Detach()
	err = errors.Join(err, a.turn())
	a.correlator.Flush()
	now, clockErr := clock.Monotonic()
	a.send(now)
	a.summary.Correlator = a.correlator.Stats()
	return errors.Join(err, clockErr)
}

// shutdown lets the exporter send what it still has.
func (a *Agent) shutdown() error {
	if a.opts.Exporter == nil {
		return nil
	}
	timeout := a.opts.ShutdownTimeout
	if timeout <= 0 {
		timeout = defaultShutdownTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := a.opts.Exporter.Shutdown(ctx)
	a.summary.Export = a.opts.Exporter.Stats()
	return err
}
