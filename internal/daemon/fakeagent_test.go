// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/probe"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// fakeAgent is an agent without a kernel side: the test says what it sees and what fails.
type fakeAgent struct {
	opts  agent.Options
	sinks agent.Sinks
	// over ends Run by itself, with that error.
	over chan error
	// stuck, if set, keeps Run from ending until it is closed.
	stuck chan struct{}

	mu       sync.Mutex
	status   agent.Status
	scopes   []agent.Scope
	scopeErr error
	tenants  *tenant.Set
	// threshold is that of SetSampling.
	threshold uint64
	// namespaces are those that probes are sent from, nil if there are none.
	namespaces probe.Namespaces
}

func (f *fakeAgent) start(o agent.Options) (tracing, error) {
	f.opts = o
	f.tenants = o.Tenants
	var err error
	f.sinks, err = o.Open()
	return f, err
}

// Run implements tracing.
func (f *fakeAgent) Run(ctx context.Context) (agent.Summary, error) {
	select {
	case err := <-f.over:
		return f.Status().Summary, errors.Join(err, f.sinks.Exporter.Shutdown(context.Background()))
	case <-ctx.Done():
	}
	if f.stuck != nil {
		<-f.stuck
	}
	return f.Status().Summary, f.sinks.Exporter.Shutdown(context.Background())
}

// Status implements tracing.
func (f *fakeAgent) Status() agent.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// SetScope implements tracing.
func (f *fakeAgent) SetScope(s agent.Scope) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.scopeErr == nil {
		f.scopes = append(f.scopes, s)
	}
	return f.scopeErr
}

// SetSampling implements tracing.
func (f *fakeAgent) SetSampling(threshold uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.threshold = threshold
	return nil
}

// SetTenants implements tracing.
func (f *fakeAgent) SetTenants(s *tenant.Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tenants = s
}

// Namespaces implements tracing.
func (f *fakeAgent) Namespaces() probe.Namespaces {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.namespaces
}

// set changes what the agent says of itself and does.
func (f *fakeAgent) set(change func(*fakeAgent)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// see has the agent see a ping.
func (f *fakeAgent) see(t *testing.T, tr *trace.Trace) {
	t.Helper()
	f.opts.OnTrace(tr)
	if err := f.sinks.Exporter.Export(t.Context(), []*trace.Trace{tr}); err != nil {
		t.Error(err)
	}
}

// logBuffer may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// take returns what was logged since the last call.
func (b *logBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.text.Reset()
	return b.text.String()
}

// life is a daemon that runs on a fake agent, and its service manager.
type life struct {
	*daemon
	t      *testing.T
	agent  *fakeAgent
	path   *fakeFastPath
	file   string
	log    *logBuffer
	states *net.UnixConn
	hup    chan os.Signal
	term   context.CancelFunc
	done   chan error
}

// begin makes a daemon that is not started yet. Its HTTP server has any port.
func begin(t *testing.T, text string) *life {
	t.Helper()
	dir := t.TempDir()
	l := &life{
		t: t, agent: &fakeAgent{over: make(chan error, 1)}, path: &fakeFastPath{}, file: filepath.Join(dir, "dwell.yaml"),
		log: &logBuffer{}, hup: make(chan os.Signal), done: make(chan error, 1),
	}
	l.states = serviceManager(t, filepath.Join(dir, "notify"))
	l.write(text)
	opts := Options{
		File: l.file, Environ: []string{"DWELL_HTTP_LISTEN=127.0.0.1:0"},
		Resource: otlpOptions(), Stderr: l.log, Reload: l.hup,
	}
	loaded, err := config.Load(opts.File, opts.Environ)
	if err != nil {
		t.Fatal(err)
	}
	if l.daemon, err = newDaemon(opts, loaded); err != nil {
		t.Fatal(err)
	}
	l.startAgent, l.newFastPath = l.agent.start, l.path.open
	return l
}

// serviceManager listens for what sd_notify sends.
func serviceManager(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

// live runs a daemon until it is ready.
func live(t *testing.T, text string) *life {
	t.Helper()
	l := begin(t, text)
	l.run()
	if state := l.state(); !strings.HasPrefix(state, "READY=1\n") {
		t.Fatalf("the first state is %q\n%s", state, l.log)
	}
	return l
}

func (l *life) run() {
	l.t.Helper()
	loaded, err := config.Load(l.file, l.opts.Environ)
	if err != nil {
		l.t.Fatal(err)
	}
	var ctx context.Context
	ctx, l.term = context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.done <- l.daemon.run(ctx, loaded)
	}()
	l.t.Cleanup(func() {
		l.term()
		<-ended
	})
}

func (l *life) write(text string) {
	l.t.Helper()
	if err := os.WriteFile(l.file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// state returns the next notification of the service manager.
func (l *life) state() string {
	l.t.Helper()
	if err := l.states.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		l.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := l.states.Read(buffer)
	if err != nil {
		l.t.Fatalf("%v\n%s", err, l.log)
	}
	return string(buffer[:n])
}

// await returns the next state that begins so.
func (l *life) await(prefix string) string {
	l.t.Helper()
	for {
		if state := l.state(); strings.HasPrefix(state, prefix) {
			return state
		}
	}
}

// reload has the daemon read a configuration, and returns what it logs of that.
func (l *life) reload(text string) string {
	l.t.Helper()
	l.write(text)
	l.log.take()
	l.hup <- nil
	l.await("RELOADING=1\n")
	l.await("READY=1\n")
	return l.log.take()
}

// stop ends the daemon and returns its error.
func (l *life) stop() error {
	l.t.Helper()
	l.term()
	select {
	case err := <-l.done:
		return err
	case <-time.After(time.Minute):
		l.t.Fatalf("does not end\n%s", l.log)
		return nil
	}
}

// says fails unless the text has each of the words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("does not say %q:\n%s", word, text)
		}
	}
}
