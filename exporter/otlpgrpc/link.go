// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// link is the client in use. A new one takes its place when the connection seems dead:
// if the other host has vanished, or a firewall between has forgotten the connection,
// nothing says so, and TCP would go on trying for a quarter of an hour (tcp(7),
// tcp_retries2). gRPC's own probes do not help, because servers close connections that
// are probed more often than every five minutes.
type link struct {
	// make returns a client that is started.
	make func() (*station, error)

	mu      sync.Mutex
	current *station
	// silent counts the requests since the last answer.
	silent  int
	stopped bool
}

// station is a client with its connection.
type station struct {
	otlptrace.Client
	// leave gives a share in a connection back, nil if the client has its own.
	leave func()
	// requests are under way. left is set when there will be no more.
	requests int
	left     bool
}

// deadAfter is how many requests without an answer make a connection seem dead.
const deadAfter = 3

// enter returns the client to use for one request. exit must be called after that.
func (l *link) enter() *station {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current.requests++
	return l.current
}

// exit takes the outcome of a request, and connects anew if there was no answer for too
// long. Other requests that are under way by the same client are not cut short: they may be
// answered.
func (l *link) exit(s *station, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.requests--
	if s == l.current && l.dead(err) && !l.stopped {
		if fresh, err := l.make(); err == nil { // otherwise it is about settings, which were good before
			s.left, l.current, l.silent = true, fresh, 0
		}
	}
	if s.left && s.requests == 0 {
		_ = s.end(context.Background()) // nothing is under way
	}
}

// dead takes the outcome of a request of the current client.
func (l *link) dead(err error) bool {
	if status.Code(err) != codes.DeadlineExceeded {
		l.silent = 0
		return false
	}
	l.silent++
	return l.silent >= deadAfter
}

// stop closes the connection. No request is under way.
func (l *link) stop(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	return l.current.end(ctx)
}

func (s *station) end(ctx context.Context) error {
	if s.leave != nil {
		defer s.leave()
	}
	return s.Stop(ctx)
}
