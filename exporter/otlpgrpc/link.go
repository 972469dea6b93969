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
	make func() (otlptrace.Client, error)
	// lease is the share in a connection of a pool, nil if the client has its own.
	lease *lease

	mu     sync.Mutex
	client otlptrace.Client
	// silent counts the requests since the last answer.
	silent  int
	stopped bool
}

// deadAfter is how many requests without an answer make a connection seem dead.
const deadAfter = 3

// get returns the client to use.
func (l *link) get() otlptrace.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// note takes the outcome of a request, and connects anew if there was no answer for too
// long. It is not called while a request is under way.
func (l *link) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if status.Code(err) != codes.DeadlineExceeded {
		l.silent = 0
		return
	}
	if l.silent++; l.silent < deadAfter || l.stopped {
		return
	}
	fresh, err := l.make()
	if err != nil {
		return // it is about settings, which were good for the old one
	}
	_ = l.client.Stop(context.Background()) // nothing is under way
	l.client, l.silent = fresh, 0
}

// stop closes the connection.
func (l *link) stop(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	defer l.leave()
	return l.client.Stop(ctx)
}

// leave gives the share in a connection back, if there is one.
func (l *link) leave() {
	if l.lease != nil {
		l.lease.release()
	}
}
