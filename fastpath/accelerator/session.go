// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/changes"
)

// Times and numbers of the manager.
const (
	// agreed is how many packets must be alike in each direction before one is sent fast.
	agreed = 2
	// beatEvery is how often the programs are told that somebody is there.
	beatEvery = 250 * time.Millisecond
	// beginsWithin is how long it may take from the beginning until packets can be fast, without
	// anything being wrong.
	beginsWithin = 10 * time.Second
	// believedFor is how long the programs believe that somebody is there.
	believedFor = 3 * time.Second
	// aliveFor is for how long a part of the manager is believed to be alive after a sign of life.
	aliveFor = 2 * time.Second
	// pulseEvery is how often the loop gives one.
	pulseEvery = 500 * time.Millisecond
	// lookEvery is how often things are read that nobody announces, such as programs of others.
	lookEvery = 5 * time.Second
	// steadyFor is how long a port must have had a peer that can be given packets before it is given some.
	steadyFor = 30 * time.Second
	// retryAfter is how long it takes until what failed is tried again.
	retryAfter = 2 * time.Second
	// sweepEvery is how often flows are removed that have ended, or had no packet for idleLimit. Until it is
	// removed, a flow that has ended stays slow, although it may be another by now.
	sweepEvery = 100 * time.Millisecond
	idleLimit  = time.Minute
	// sweepShare bounds the time that sweeping takes: one part of so many.
	sweepShare = 20
)

// Reasons for a session to end that are no failures.
var (
	errNone = errors.New("no tenant has a fast path any more")
	errDown = errors.New("the fast path was taken down")
)

// session is the time during which the programs are open and changes are followed.
type session struct {
	programs programs
	stop     context.CancelCauseFunc
	done     chan struct{}
	// watching is closed when no change can be missed any more, ready when everything was read
	// once.
	watching, ready chan struct{}
}

// attend keeps the fast path in force until something fails, or there is nothing to do any more.
func (m *Manager) attend(ctx context.Context) error {
	p, err := m.open()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	s := &session{programs: p, stop: stop, done: make(chan struct{}), watching: make(chan struct{}), ready: make(chan struct{})}
	m.gate.begin(p, "the agent has just begun to look at the host")
	m.mu.Lock()
	m.session = s
	m.mu.Unlock()
	defer func() {
		stop(nil)
		m.mu.Lock()
		m.session = nil
		m.mu.Unlock()
		close(s.done)
	}()
	// Numbers of tenants may be others than those of the agent before.
	if _, err := p.Flush(0); err != nil {
		m.note("flush", fmt.Errorf("flows of an earlier agent cannot be forgotten: %w", err))
		return err
	}
	m.note("flush", nil)
	group, inner := errgroup.WithContext(ctx)
	for _, part := range []struct {
		name string
		run  func(context.Context, *session) error
	}{
		{"the watch for changes", m.watchChanges},
		{"the reader of new flows", m.ask},
		{"deciding about flows", m.decideAll},
		{"the reader of packets that were not as foretold", m.readDoubts},
		{"deciding about packets that were not as foretold", m.settleDoubts},
		{"the heartbeat", m.beat},
		{"removing old flows", m.sweep},
		{"the loop", m.loop},
	} {
		group.Go(func() error {
			err := part.run(inner, s)
			if inner.Err() == nil {
				err = fmt.Errorf("%s has ended, so that nothing is sent fast until it runs again: %w", part.name, orUnexpected(err))
			}
			return err
		})
	}
	err = group.Wait()
	return m.ended(ctx, p, err)
}

// orUnexpected gives an end without reason one.
func orUnexpected(err error) error {
	if err == nil {
		return errors.New("nobody had asked for it")
	}
	return err
}

// ended stops everything that is fast, and says why a session has ended.
func (m *Manager) ended(ctx context.Context, p programs, err error) error {
	rest := p.Rest()
	m.gate.stop("changes are not followed now", dirtyAll)
	m.gate.end()
	m.judge.Store(nil)
	m.queue.clear()
	m.excuseAll()
	cause := context.Cause(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problem("rest", rest)
	switch {
	case errors.Is(err, errNone), errors.Is(cause, errDown):
		m.problem("session", nil)
		return errNone
	case ctx.Err() != nil:
		return cause
	}
	m.unwatched++
	m.problem("session", err)
	return err
}

// watchChanges has the gate told of changes.
func (m *Manager) watchChanges(ctx context.Context, s *session) error {
	var first sync.Once
	return m.faces.changes(ctx, func(c changes.Change) {
		m.gate.change(c)
		m.heart.sign(&m.heart.watch)
		first.Do(func() { close(s.watching) })
		if c.Kind == 0 {
			m.doubts.live()
		}
	})
}

// ask queues the flows about which the programs ask.
func (m *Manager) ask(ctx context.Context, s *session) error {
	return s.programs.Candidates(ctx, func(c bypass.Candidate) {
		if j := m.judge.Load(); j != nil { // otherwise they ask again
			m.queue.push(j.slotOf(&c), c)
		}
	})
}

// sweep removes flows that have ended or are idle.
func (m *Manager) sweep(ctx context.Context, s *session) error {
	wait := sweepEvery
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		usage, err := s.programs.Usage()
		if err == nil && len(usage) == 0 {
			wait = sweepEvery
			continue
		}
		began := time.Now()
		n, err := s.programs.Sweep(ctx, idleLimit)
		m.tally.swept(n)
		if err != nil && ctx.Err() == nil {
			m.note("sweep", fmt.Errorf("flows that have ended cannot be removed, so that there may be no room for new ones: %w", err))
		} else if err == nil {
			m.note("sweep", nil)
		}
		wait = max(sweepEvery, sweepShare*time.Since(began))
	}
}
