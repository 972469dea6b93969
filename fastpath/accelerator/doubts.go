// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

const (
	// doubtFor is for how long a change may be announced that explains why the kernel treated a packet otherwise
	// than was foretold. Package changes asks for what is not announced every second.
	doubtFor = 2 * time.Second
	// doubtSigns is how many signs of life of the watch for changes there must be after that: between two of them
	// it has read all that had been announced.
	doubtSigns = 2
	// doubtRoom is how many packets may be in doubt. Further ones are taken to be foretold wrong.
	doubtRoom = 1024
	// doubtLogEvery is how often it is logged what was foretold wrong, at most.
	doubtLogEvery = time.Minute
)

// doubts are packets that the kernel treated otherwise than was foretold, of which it is not known yet whether
// something had changed: a change is in force before the kernel announces it.
type doubts struct {
	// sign is given when the watch for changes has given a sign of life.
	sign chan struct{}

	mu      sync.Mutex // for what follows
	waiting []doubt
	logged  time.Time
}

type doubt struct {
	bypass.Doubt
	since time.Time
	// signs is how many signs of life there were after doubtFor.
	signs int
}

// push adds a packet that has been seen by now, and reports whether there was room.
func (q *doubts) push(d bypass.Doubt, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == doubtRoom {
		return false
	}
	q.waiting = append(q.waiting, doubt{Doubt: d, since: now})
	return true
}

// live says that the watch for changes has given a sign of life. It never waits.
func (q *doubts) live() {
	select {
	case q.sign <- struct{}{}:
	default:
	}
}

// lives notes a sign of life of the watch for changes, and returns the packets of which it is known now, because of
// that, that nothing which was announced in time has been missed.
func (q *doubts) lives(now time.Time) (known []bypass.Doubt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.waiting[:0]
	for _, d := range q.waiting {
		if now.Sub(d.since) >= doubtFor {
			d.signs++
		}
		if d.signs < doubtSigns {
			kept = append(kept, d)
			continue
		}
		known = append(known, d.Doubt)
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept
	return known
}

// take returns all, and forgets them.
func (q *doubts) take() []doubt {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// logs reports whether one may be logged.
func (q *doubts) logs(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.logged.IsZero() && now.Sub(q.logged) < doubtLogEvery {
		return false
	}
	q.logged = now
	return true
}

// readDoubts notes what the programs tell.
func (m *Manager) readDoubts(ctx context.Context, s *session) error {
	return s.programs.Doubts(ctx, func(d bypass.Doubt) {
		if !m.doubts.push(d, time.Now()) {
			m.blame(&d)
		}
	})
}

// settleDoubts decides about packets each time that the watch for changes has given a sign of life.
func (m *Manager) settleDoubts(ctx context.Context, s *session) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.doubts.sign:
		}
		for _, d := range m.doubts.lives(time.Now()) {
			if s.programs.Epoch(d.Slot, d.Other) != d.Epoch {
				m.excuse(&d, flow.Changed)
			} else {
				m.blame(&d)
			}
		}
	}
}

// excuseAll is for when nobody follows changes any more, and so nobody will know.
func (m *Manager) excuseAll() {
	for _, d := range m.doubts.take() {
		m.excuse(&d.Doubt, flow.Unattended)
	}
}

// excuse counts a packet of which nothing was learnt, because something was changing or might have been. What is
// counted has been logged.
func (m *Manager) excuse(d *bypass.Doubt, r flow.Reason) {
	packet, _ := packetOf(d.Key.Tuple)
	m.log.Debug(DoubtExcused, "packet", packet, "monotonic_ns", d.Ns, "reason", r.String(), "differs", strings.Join(d.Differs, "; "))
	m.tally.excused(d.Slot, d.Direction, r)
}

// blame counts a packet that was foretold wrong, and says before that what was.
func (m *Manager) blame(d *bypass.Doubt) {
	defer m.tally.foretoldWrong(d.Slot, d.Direction)
	if m.doubts.logs(time.Now()) {
		packet, _ := packetOf(d.Key.Tuple)
		m.log.Error("fast path: the kernel treated a packet otherwise than was foretold, although nothing had changed",
			"packet", packet, "monotonic_ns", d.Ns, "differs", strings.Join(d.Differs, "; "))
	}
}

// DoubtExcused is what is logged, at the level of debugging, of a packet that the kernel treated otherwise than was foretold
// while something was changing.
const DoubtExcused = "fast path: a packet was treated otherwise than was foretold, because something was changing"
