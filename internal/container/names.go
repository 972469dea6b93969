// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

const (
	// An answer is good for goodFor, as a container may be renamed; that there is no such
	// container for missingFor, as it may be about to be made; a failure for failedFor.
	goodFor    = 5 * time.Minute
	missingFor = 30 * time.Second
	failedFor  = 10 * time.Second
	// forgetAfter is how long an unused answer is kept.
	forgetAfter = 15 * time.Minute
	// rest is the shortest time between two questions: 50 a second.
	rest = 20 * time.Millisecond
	// maxWaiting bounds the queries that wait; one that finds no room is asked again by
	// its caller.
	maxWaiting = 1024
)

// Names asks container runtimes what they call their containers. It never keeps anybody
// waiting: it answers with what it knows, and asks in a goroutine of its own. It is safe
// for concurrent use.
type Names struct {
	sockets []*socket
	waiting chan question
	cancel  context.CancelFunc
	done    chan struct{}
	now     func() time.Time
	answers atomic.Uint64

	mu    sync.Mutex
	known map[string]*answer // by ID
}

// question is what waits to be asked: for a container or, with done, whether what came
// before has been.
type question struct {
	container trace.Container
	done      chan<- struct{}
}

// answer is what a runtime said about a container.
type answer struct {
	container trace.Container
	// asked is when the question was put last; until is how long the answer is good.
	wanted, until time.Time
	underway      bool
}

// NewNames returns Names that asks the runtimes at these sockets, paths with or without
// unix:// before them, in this order. A socket without a listener is tried again later.
// The caller must call Close.
func NewNames(sockets []string) *Names { return newNames(sockets, time.Now, queryTimeout) }

func newNames(sockets []string, now func() time.Time, timeout time.Duration) *Names {
	ctx, cancel := context.WithCancel(context.Background())
	n := &Names{
		waiting: make(chan question, maxWaiting), known: map[string]*answer{},
		cancel: cancel, done: make(chan struct{}), now: now,
	}
	for _, s := range sockets {
		n.sockets = append(n.sockets, newSocket(s, timeout))
	}
	go n.run(ctx)
	return n
}

// Complete returns the container with what the runtime has said about it so far, and
// queries it if that is nothing or is out of date. What the cgroup says about the pod is
// kept if the runtime says nothing about it.
func (n *Names) Complete(c trace.Container) trace.Container {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.known[c.ID]
	if a == nil {
		a = &answer{container: c}
		n.known[c.ID] = a
	}
	now := n.now()
	a.wanted = now
	if !a.underway && !now.Before(a.until) {
		select {
		case n.waiting <- question{container: c}:
			a.underway = true
		default:
		}
	}
	return a.container
}

// Answers returns a number that changes when Complete may return more than before.
func (n *Names) Answers() uint64 { return n.answers.Load() }

// Settle waits until everything has been asked that was to be, or until ctx is done.
func (n *Names) Settle(ctx context.Context) {
	done := make(chan struct{})
	select {
	case n.waiting <- question{done: done}:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Close ends the asking.
func (n *Names) Close() {
	n.cancel()
	<-n.done
}

// run asks, one question after the other, until ctx is done.
func (n *Names) run(ctx context.Context) {
	defer close(n.done)
	defer func() {
		for _, s := range n.sockets {
			s.close()
		}
	}()
	timer := time.NewTicker(rest)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-n.waiting:
			if q.done != nil {
				close(q.done)
				continue
			}
			told, err := n.ask(ctx, q.container)
			n.learn(q.container.ID, told, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// ask asks one socket after the other. The error is errNotFound if all say that there is no
// such container.
func (n *Names) ask(ctx context.Context, c trace.Container) (trace.Container, error) {
	var failures []error
	for _, s := range n.sockets {
		told, err := s.describe(ctx, c.ID, n.now())
		if err == nil {
			return merge(c, told), nil
		}
		if !errors.Is(err, errNotFound) {
			failures = append(failures, err)
		}
	}
	if len(failures) == 0 {
		return c, errNotFound
	}
	return c, errors.Join(failures...)
}

// merge adds what a runtime says to what the cgroup says. The runtime is the one that put
// the ID into the cgroup's path, even if another answers for it.
func merge(c, told trace.Container) trace.Container {
	told.ID = c.ID
	if c.Runtime != "" {
		told.Runtime = c.Runtime
	}
	if told.Pod.UID == "" {
		told.Pod.UID = c.Pod.UID
	}
	return told
}

// learn keeps an answer, and drops those that have been unused for long.
func (n *Names) learn(id string, told trace.Container, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	a := n.known[id]
	a.underway = false
	switch {
	case err == nil:
		a.until = now.Add(goodFor)
		if a.container != told {
			a.container = told
			n.answers.Add(1)
		}
	case errors.Is(err, errNotFound):
		a.until = now.Add(missingFor)
	default:
		a.until = now.Add(failedFor)
	}
	for id, a := range n.known {
		if !a.underway && now.Sub(a.wanted) > forgetAfter {
			delete(n.known, id)
		}
	}
}
