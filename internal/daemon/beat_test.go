// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/tally"
)

func newLogger(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// The service manager hears of the daemon at least twice in the time after which it would
// start it again, unless it is not well; without a watchdog it is asked all the same, for
// its status line.
func TestHowOftenItBeats(t *testing.T) {
	for _, test := range []struct {
		watchdog, every time.Duration
		notified        int
	}{
		{0, 10 * time.Second, 0},
		{time.Second, 500 * time.Millisecond, 2},
		{time.Minute, 10 * time.Second, 2},
	} {
		l := begin(t, "")
		synctest.Test(t, func(t *testing.T) {
			s := service{quiet(), test.watchdog}
			ctx, cancel := context.WithCancel(t.Context())
			began := time.Now()
			var beats []time.Duration
			s.beat(ctx, func() error {
				beats = append(beats, time.Since(began))
				if len(beats) == 3 {
					cancel()
					return nil
				}
				return []error{nil, errors.New("stuck")}[len(beats)-1]
			})
			if len(beats) != 3 || beats[0] != test.every || beats[2] != 3*test.every {
				t.Errorf("watchdog %v: beats at %v", test.watchdog, beats)
			}
			s.notify("LAST=1")
		})
		notified := 0
		for l.state() == "WATCHDOG=1" {
			notified++
		}
		if notified != test.notified {
			t.Errorf("watchdog %v: notified %d times, want %d", test.watchdog, notified, test.notified)
		}
	}
}

// The watchdog is served for as long as the daemon runs.
func TestDaemonBeats(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	l := live(t, "")
	l.await("STATUS=tracing")
	l.await("WATCHDOG=1")
}

// What the daemon says at a beat: its status while it runs, and why it should be started
// again once it is stuck, in which case the watchdog is not notified.
func TestBeat(t *testing.T) {
	l := begin(t, "")
	var tracer tracing = l.agent
	l.daemon.agent.Store(&tracer)
	well := agent.Status{Attached: true, LastIteration: time.Now(), NetNS: 2, Summary: agent.Summary{Counts: tally.Counts{Complete: 5}}}
	l.agent.set(func(f *fakeAgent) { f.status = well })
	l.phase.Store(int32(running))
	if err := l.beat(); err != nil {
		t.Errorf("well: %v", err)
	}
	if got := l.state(); got != "STATUS=tracing in 2 network namespaces: 5 pings, 0 events lost" {
		t.Errorf("%q", got)
	}
	l.began = time.Now().Add(-time.Hour)
	l.agent.set(func(f *fakeAgent) { f.status.LastIteration = time.Now().Add(-2 * aliveWithin) })
	if err := l.beat(); err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("stuck: %v", err)
	}
	l.state()
	l.phase.Store(int32(stopping))
	if err := l.beat(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	l.service.notify("LAST=1")
	if got := l.state(); got != "LAST=1" {
		t.Errorf("while it stops the status is %q", got)
	}
}

// Names without a namespace or a device are logged when that changes, and not at each beat.
func TestUnresolvedNamesAreLoggedOnce(t *testing.T) {
	l := live(t, "")
	l.log.take()
	for _, step := range []struct {
		netns, interfaces []string
		lines             int
		words             []string
	}{
		{nil, nil, 0, nil},
		{[]string{"a", "b"}, nil, 1, []string{"no network namespace", "names=\"a, b\""}},
		{[]string{"a", "b"}, nil, 0, nil},
		{[]string{"b"}, nil, 1, []string{"names=b"}},
		{[]string{"b"}, []string{"ens*"}, 1, []string{"no interface", "names=ens*"}},
		{nil, []string{"ens*"}, 1, []string{"level=INFO", "every network namespace"}},
		{nil, nil, 1, []string{"level=INFO", "every interface"}},
		{nil, nil, 0, nil},
	} {
		unresolved := agent.Unresolved{NetNS: step.netns, Interfaces: step.interfaces}
		l.agent.set(func(f *fakeAgent) { f.status.Unresolved = unresolved })
		l.logTroubles()
		log := l.log.take()
		if strings.Count(log, "\n") != step.lines {
			t.Errorf("%v: %q", unresolved, log)
		}
		says(t, log, step.words...)
		if got := l.stats().ScopeUnresolved; got != len(step.netns)+len(step.interfaces) {
			t.Errorf("%v: counted as %d", unresolved, got)
		}
	}
}

// A service manager that is not there, or that has left something wrong in the
// environment, is no reason not to trace.
func TestWrongServiceManager(t *testing.T) {
	log := &logBuffer{}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	t.Setenv("WATCHDOG_USEC", "soon")
	t.Setenv("WATCHDOG_PID", "")
	s := newService(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	says(t, log.take(), "level=WARN", "soon")
	if s.watchdog != 0 {
		t.Errorf("watchdog every %v", s.watchdog)
	}
	s.ready("well")
	says(t, log.take(), "level=DEBUG", "READY=1")
	t.Setenv("NOTIFY_SOCKET", "")
	s.ready("well")
	if text := log.take(); text != "" {
		t.Errorf("without a service manager: %s", text)
	}
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1") // that of another process
	if s := newService(quiet()); s.watchdog != 0 {
		t.Errorf("the watchdog of another process: %v", s.watchdog)
	}
}

// An endpoint that does not answer is logged as a warning, but not once the daemon is stopping.
func TestEndpointThatDoesNotAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		err      error
		canceled bool
		logged   bool
	}{
		"answers":     {nil, false, false},
		"does not":    {errors.New("nobody is there"), false, true},
		"at the end":  {errors.New("nobody is there"), true, false},
		"without any": {errNoEndpoint, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := begin(t, "")
			l.log.take()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if !errors.Is(test.err, errNoEndpoint) {
				l.sinks.endpoint.swap(&checked{err: test.err, before: func() {
					if test.canceled {
						cancel()
					}
				}})
			}
			l.checkEndpoint(ctx)
			if logged := strings.Contains(l.log.String(), "level=WARN"); logged != test.logged {
				t.Errorf("logged: %v\n%s", logged, l.log)
			}
		})
	}
}

var errNoEndpoint = errors.New("there is no endpoint")

// checked is an exporter whose endpoint can be tried.
type checked struct {
	fake
	err    error
	before func()
}

// Check implements checker.
func (c *checked) Check(ctx context.Context) error {
	c.before()
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("may take for ever")
	}
	return c.err
}
