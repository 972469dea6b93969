// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
)

// chunkEvents is how many events are taken at a time. A full ring buffer holds some
// hundred thousand, whose traces together would need ten times its memory.
const chunkEvents = 16 << 10

// iterationChunks is how many chunks an iteration takes at most: as many as a full ring
// buffer of bpf.DefaultRingBytes holds.
const iterationChunks = 64

// loop takes the events until ctx is done or enough pings are finished. It looks for them
// on a tick, and at once when news says that there are many, or when names may be there for which
// pings wait.
func (a *Agent) loop(ctx, export context.Context, news <-chan struct{}) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for !a.enough() {
		more, err := a.iterate(ctx, export)
		if err != nil {
			return err
		}
		if more && ctx.Err() == nil {
			continue
		}
		var looked <-chan struct{} // of interest if there are pings that wait for it
		if a.correlator.Unnamed() > 0 {
			looked = a.looked
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-news:
		case <-looked:
		}
	}
	return nil
}

// gather empties the ring buffer when it fills up while the loop is busy, and notifies
// the loop and who guards the gates.
func (a *Agent) gather(ctx context.Context, news ...chan<- struct{}) error {
	err := a.tracer.Gather(ctx, func() {
		for _, ch := range news {
			select {
			case ch <- struct{}{}:
			default: // it has not heard the last yet
			}
		}
	})
	if err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	return nil
}

// enough reports whether Options.Count is reached.
func (a *Agent) enough() bool { return a.opts.Count > 0 && a.summary.Pings() >= a.opts.Count }

// iterate takes what there is, chunk by chunk, unless ctx is done or enough pings are
// finished before. It reports whether there is more to take: events may come as fast as
// they are taken.
func (a *Agent) iterate(ctx, export context.Context) (more bool, err error) {
	a.waited = 0
	for range iterationChunks {
		more, err = a.takeChunk(export)
		if err != nil || !more || a.enough() || ctx.Err() != nil {
			break
		}
	}
	return more, err
}

// takeChunk takes no more than chunkEvents, closes the pings that are over and sends their
// traces on. It reports whether there is more to take.
func (a *Agent) takeChunk(export context.Context) (more bool, err error) {
	// The clock is read first: all events up to now are then there to be taken.
	now, err := a.now()
	if err != nil {
		return false, err
	}
	a.correlator.SetPartial(a.watcher.partial()) // the scope may have been changed
	a.names.at(now)
	discarded, begin := a.gate.left.events(), time.Now()
	n, all, err := a.tracer.DrainSome(chunkEvents, a.take)
	if err != nil {
		return false, fmt.Errorf("read events: %w", err)
	}
	if err := a.checkLoss(); err != nil {
		return false, err
	}
	a.inventory.Notice() // of changes up to the last of these events
	a.names.renew()
	if all {
		a.latest = max(a.latest, now)
	}
	// Otherwise the time is that of the latest event taken: an event that is still in the
	// ring was put there later, and is older only by as much as a program takes to run.
	a.correlator.Advance(a.latest)
	a.send(export, now)
	if err := a.gate.account(uint64(n)-(a.gate.left.events()-discarded), time.Since(begin), a); err != nil {
		return false, err
	}
	a.publish(!a.finishing)
	return !all && n > 0, nil
}

// take hands one event on.
func (a *Agent) take(ev *event.Event) {
	a.latest = max(a.latest, ev.Time)
	if a.gate.discards(ev) {
		return
	}
	a.names.note(ev)
	if because := a.blamer.see(ev); because != nil {
		a.add(because)
	}
	a.add(ev)
}

func (a *Agent) add(ev *event.Event) {
	a.correlator.Add(ev)
	if a.opts.OnEvent != nil {
		a.opts.OnEvent(ev)
	}
}

// checkLoss reports to the correlator the events that the kernel side has lost, and the
// records that could not be decoded, since the last call.
func (a *Agent) checkLoss() error {
	now, err := a.now()
	if err != nil {
		return err
	}
	stats, err := a.tracer.Stats()
	if err != nil {
		return fmt.Errorf("read counters: %w", err)
	}
	from := a.checked
	if stats.Malformed != a.summary.Kernel.Malformed {
		from = a.checkedBefore // it may have been in the ring then
	}
	a.summary.Kernel = stats
	if lost := stats.Total().Lost + stats.Missed + stats.Malformed; lost != a.lost {
		a.lost = lost
		a.correlator.Lost(from, now)
	}
	a.checkedBefore, a.checked = a.checked, now
	return nil
}

// empty takes everything that is left.
func (a *Agent) empty(export context.Context) error {
	for {
		if more, err := a.takeChunk(export); err != nil || !more {
			return err
		}
	}
}

// finish ends the recording and closes all pings.
func (a *Agent) finish(export context.Context) error {
	a.finishing = true
	err := a.tracer.Detach()
	err = errors.Join(err, a.empty(export))
	a.nameAtLast()
	a.names.renew()
	a.correlator.Flush()
	now, clockErr := a.now()
	a.send(export, now)
	a.summary.Correlator = a.correlator.Stats()
	a.publish(false)
	return errors.Join(err, clockErr)
}
