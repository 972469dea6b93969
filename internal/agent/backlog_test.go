// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// eventually waits until the status of an agent is as wanted.
func eventually(t *testing.T, a *agent.Agent, what string, ok func(agent.Backlog) bool) {
	t.Helper()
	deadline := time.After(unhurried)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		b := a.Status().Backlog
		if ok(b) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no backlog that is %s: %+v", what, b)
		}
	}
}

// While the reader is held up, what it has not read grows and gets older; then it is as before.
func TestBacklogOfEvents(t *testing.T) {
	l := bridge(t)
	held, release := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(held); <-release })
	a, err := start(agent.Options{
		Filter: bpf.Filter{NetNS: inodes(l)}, Timeout: unhurried, OnEvent: func(*event.Event) { hold() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if b := a.Status().Backlog; b != (agent.Backlog{}) {
		t.Errorf("before it runs there is a backlog: %+v", b)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() {
		_, err := a.Run(ctx)
		ran <- err
	}()
	eventually(t, a, "empty", func(b agent.Backlog) bool { return b.Unread == 0 && b.Room > 0 })
	ping(t, l, pinger.Config{Count: 1})
	<-held
	before := a.Status().Backlog
	ping(t, l, pinger.Config{Count: 20, Interval: time.Millisecond})
	eventually(t, a, "larger and older", func(b agent.Backlog) bool {
		return b.Unread > before.Unread && b.Behind > before.Behind+10*time.Millisecond
	})
	longest := a.Status().Backlog.Behind
	close(release)
	eventually(t, a, "empty again", func(b agent.Backlog) bool { return b.Unread == 0 && b.Behind < longest })
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if b := a.Status().Backlog; b != (agent.Backlog{}) {
		t.Errorf("after it has run there is a backlog: %+v", b)
	}
}

// A ping that nobody answers is open for longer and longer.
func TestBacklogOfPings(t *testing.T) {
	l := bridge(t)
	a, err := start(agent.Options{Filter: bpf.Filter{NetNS: inodes(l)}, Timeout: unhurried})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() {
		_, err := a.Run(ctx)
		ran <- err
	}()
	eventually(t, a, "without a ping", func(b agent.Backlog) bool { return b.Room > 0 && b.OpenFor == 0 })
	pingUntil(t.Context(), t, l, pinger.Config{Count: 1, Target: netip.MustParseAddr("203.0.113.99"), Timeout: time.Millisecond})
	var first time.Duration
	eventually(t, a, "a ping", func(b agent.Backlog) bool { first = b.OpenFor; return first > 0 })
	eventually(t, a, "an older ping", func(b agent.Backlog) bool { return b.OpenFor > first })
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
