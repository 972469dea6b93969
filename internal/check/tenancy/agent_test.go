// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tenancy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp/otlpread"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/daemon"
)

// patience is how long something that must come is waited for.
const patience = time.Minute

// running is an agent that traces a host.
type running struct {
	t      *testing.T
	client *client.Client
	log    *safeBuffer
}

// safeBuffer takes a log while others read it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs an agent until the test is over, and returns when it is ready.
func (h *host) start() *running {
	h.t.Helper()
	dir := h.t.TempDir()
	socket, file := filepath.Join(dir, "agent.sock"), filepath.Join(dir, "dwell.yaml")
	text := fmt.Sprintf("trace: {netns: [%q], hypervisors: [%q], timeout: 1s}\nhttp: {listen: \"\"}\ncontainers: {enabled: false}\napi: {socket: %s, streams_max: 64, client_streams_max: 64, client_rate: 100000}\ntenancy: {uplinks: [ens0]}\n%s",
		h.prefix+"-*", h.name("hyp"), socket, h.yaml())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	a := &running{t: h.t, log: &safeBuffer{}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- daemon.Run(ctx, daemon.Options{File: file, Stderr: a.log}) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			h.t.Errorf("the agent: %v\n%s", err, a.log)
		}
	})
	a.connect(socket, done)
	return a
}

// connect waits until the agent answers. The socket is there before tracing begins, so it also
// waits for that.
func (a *running) connect(socket string, done chan error) {
	a.t.Helper()
	c, err := client.New(a.t.Context(), client.Options{Backend: "unix://" + socket})
	if err != nil {
		a.t.Fatal(err)
	}
	a.client = c
	a.t.Cleanup(c.Close)
	a.await("the agent to be ready", func() bool {
		select {
		case err := <-done:
			a.t.Fatalf("the agent: %v\n%s", err, a.log)
		default:
		}
		_, err := c.Tenants(a.t.Context())
		return err == nil && bytes.Contains([]byte(a.log.String()), []byte("attached"))
	})
}

// await waits for what is observed.
func (a *running) await(what string, is func() bool) {
	a.t.Helper()
	limit := time.After(patience)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-limit:
			a.t.Fatalf("waited %s for %s\n%s", patience, what, a.log)
		}
	}
}

// seen is what one client has got: the text, and the traces in it.
type seen struct {
	mu     sync.Mutex
	text   bytes.Buffer
	traces []*trace.Trace
}

func (s *seen) all() []*trace.Trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*trace.Trace(nil), s.traces...)
}

// follow collects a tenant's stream, or the operator's, until the test is over. When it
// returns, nothing is missed.
func (a *running) follow(tenant string) *seen {
	a.t.Helper()
	stream, err := a.client.Traces(a.t.Context(), tenant, client.StreamOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	s := &seen{}
	begun := make(chan struct{})
	done := make(chan struct{})
	a.t.Cleanup(func() { stream.Close(); <-done })
	go func() {
		defer close(done)
		for first := true; ; first = false {
			line, note, err := stream.Next()
			if first {
				close(begun)
			}
			if err != nil {
				return
			}
			s.take(a.t, line, note)
		}
	}()
	<-begun
	return s
}

func (s *seen) take(t *testing.T, line []byte, note *api.Note) {
	if note != nil {
		if note.Lost > 0 {
			t.Errorf("%d lines were lost", note.Lost)
		}
		return
	}
	traces, err := otlpread.Decode(line)
	if err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(line)
	s.text.WriteByte('\n')
	s.traces = append(s.traces, traces...)
}

// ask adds the answers to all other questions that a tenant may ask.
func (a *running) ask(tenant string, s *seen) {
	a.t.Helper()
	summary, err := a.client.Summary(a.t.Context(), tenant)
	if err != nil {
		a.t.Fatal(err)
	}
	pings, err := a.client.Pings(a.t.Context(), tenant, 1000)
	if err != nil {
		a.t.Fatal(err)
	}
	info, err := a.client.Tenant(a.t.Context(), tenant)
	if err != nil {
		a.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, answer := range []any{summary, pings, info} {
		text, err := json.Marshal(answer)
		if err != nil {
			a.t.Fatal(err)
		}
		s.text.Write(append(text, '\n'))
	}
	for _, p := range pings.Pings {
		line, err := a.client.Trace(a.t.Context(), tenant, p.TraceID)
		if err != nil {
			a.t.Fatal(err)
		}
		s.text.Write(append(line, '\n'))
	}
}
