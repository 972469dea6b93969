// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// heart knows which parts of the manager are alive. The programs are told that somebody is there
// only while all are: if changes are not followed any more, everything takes the kernel's path.
type heart struct {
	// loop and watch are when those gave their last sign of life, beat when the programs were last
	// told, in nanoseconds since 1970.
	loop, watch, beat atomic.Int64
}

func (h *heart) sign(of *atomic.Int64) { of.Store(time.Now().UnixNano()) }

func lately(at *atomic.Int64) bool {
	ago := since(at)
	return ago >= 0 && ago < aliveFor
}

// since returns how long ago there was a sign of life, or -1 if there never was.
func since(at *atomic.Int64) time.Duration {
	ns := at.Load()
	if ns == 0 {
		return -1
	}
	return time.Since(time.Unix(0, ns))
}

// alive reports whether changes are followed, and the manager's loop is alive or is reading what has
// changed, while nothing is sent fast anyway.
func (m *Manager) alive() bool {
	return lately(&m.heart.watch) && (m.gate.isHeld() || lately(&m.heart.loop))
}

// beat tells the programs that somebody is there, again and again.
func (m *Manager) beat(ctx context.Context, s *session) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.ready:
	}
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		if m.alive() {
			if err := m.beatOnce(s.programs); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (m *Manager) beatOnce(p programs) error {
	if err := p.Beat(); err != nil {
		return fmt.Errorf("telling the programs that somebody is there: %w", err)
	}
	m.heart.sign(&m.heart.beat)
	return nil
}
