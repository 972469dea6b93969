// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

const heartbeat = `{"resourceSpans":[],"dwell":{"time":"2026-01-01T00:00:00Z"}}` + "\n"

// said returns a stream of these lines, of which the last is followed by silence.
func said(t *testing.T, lines string) *Stream {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancelCause(t.Context())
	context.AfterFunc(ctx, func() { r.CloseWithError(context.Cause(ctx)) }) // as net/http does
	go func() { _, _ = io.WriteString(w, lines) }()
	s := newStream(ctx, r, cancel)
	t.Cleanup(s.Close)
	return s
}

// Whoever is busy for a minute with what it has read still gets what came meanwhile; an agent
// that says nothing to somebody who waits is taken for dead.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := said(t, heartbeat+heartbeat)
		for range 2 {
			<-time.After(time.Minute) // of synctest's clock
			if _, note, err := s.Next(); err != nil || note == nil {
				t.Fatalf("a slow reader gets %v, %v", note, err)
			}
		}
		began := time.Now()
		if _, _, err := s.Next(); !errors.Is(err, errSilent) {
			t.Errorf("a silent agent: %v", err)
		}
		if waited := time.Since(began); waited != silence {
			t.Errorf("it waited for %v", waited)
		}
	})
}

// A note must say something.
func TestEmptyNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const want = "the agent's stream has a line that is not a valid one: its note is empty"
		if _, _, err := said(t, `{"resourceSpans":[],"dwell":null}`+"\n").Next(); err == nil || err.Error() != want {
			t.Errorf("%v", err)
		}
	})
}
