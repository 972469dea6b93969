// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// loop reads what has changed, and lets packets be fast again when it knows what that means.
func (m *Manager) loop(ctx context.Context, s *session) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.watching:
	}
	pulse, look := time.NewTicker(pulseEvery), time.NewTicker(lookEvery)
	defer pulse.Stop()
	defer look.Stop()
	// What failed is tried again after a while. A nil channel never is ready.
	var retry <-chan time.Time
	m.rouse()
	for {
		m.heart.sign(&m.heart.loop)
		select {
		case <-ctx.Done():
			return nil
		case <-pulse.C:
			continue
		case <-look.C:
			m.gate.soil(dirtyDevices)
			m.repin(s.programs)
		case <-m.wake:
		case <-retry:
		}
		retry = nil
		err := m.renew(ctx, s)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errNone):
			return errNone
		case err != nil:
			retry = time.After(retryAfter)
		}
		m.note("renew", err)
	}
}

// repin puts back what somebody has removed.
func (m *Manager) repin(p programs) {
	repaired, err := p.Repin()
	if repaired {
		m.log.Warn("somebody has removed the fast path's BPF programs from their file system; they are put back")
	}
	m.note("pinned", err)
}

// renew reads what has to be read again, and puts it in force. If something changes meanwhile
// it begins again.
func (m *Manager) renew(ctx context.Context, s *session) error {
	for {
		d, holds := m.gate.take()
		if err := m.renewOnce(ctx, s, d); err != nil {
			m.gate.soil(d)
			return err
		}
		select {
		case <-s.ready:
		default:
			if err := m.beatOnce(s.programs); err != nil {
				m.gate.soil(d)
				return err
			}
			close(s.ready)
		}
		if m.gate.release(holds) {
			return nil
		}
	}
}

// renewOnce makes a new view and a new judge of what there is now.
func (m *Manager) renewOnce(ctx context.Context, s *session, d dirt) error {
	m.mu.Lock()
	active := m.active()
	in := m.readerOf(active)
	m.mu.Unlock()
	if len(active) == 0 {
		return errNone
	}
	next, err := in.read(ctx, m.faces, d)
	if err != nil {
		return err
	}
	m.steady.settle(next.devices)
	m.mu.Lock()
	defer m.mu.Unlock()
	slots, everybody := next.differs(&m.view)
	if everybody && !m.gate.isHeld() {
		// Nobody had announced it.
		m.gate.stop("programs or filters at devices have changed", 0)
		m.rouse()
	}
	if err := m.putInForce(s.programs, next); err != nil {
		return fmt.Errorf("putting the fast path in force: %w", err)
	}
	m.gate.slow(slots) // what was believed before the programs knew of it
	return nil
}
