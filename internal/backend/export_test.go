// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Patterns returns the methods and paths of all routes, as OpenAPI has them, with their
// parameters: {"GET", "/v1/tenants"}.
func Patterns() map[[2]string][]string {
	all := map[[2]string][]string{}
	for _, r := range routes() {
		all[[2]string{r.methods()[0], r.pattern}] = r.query
	}
	return all
}

// WithTimeouts returns the options with other timeouts: for a request to be read, and for a
// firewall to answer.
func (o ServerOptions) WithTimeouts(read, change time.Duration) ServerOptions {
	o.readTimeout, o.changeTimeout = read, change
	return o
}

// WithHeartbeat returns the options with another interval.
func (o ServerOptions) WithHeartbeat(d time.Duration) ServerOptions {
	o.heartbeat = d
	return o
}

// SizeOf returns about how many bytes a trace takes.
func SizeOf(t *trace.Trace) int { return sizeOf(t) }

// TraceBytes returns about what all tenants' traces take that are kept.
func (h *Hub) TraceBytes() (n int) {
	for _, f := range *h.feeds.Load() {
		f.mu.Lock()
		if f.book != nil {
			n += f.book.bytes
		}
		f.mu.Unlock()
	}
	return n
}

// Discard reads a tenant's stream and throws the lines away, without encoding them.
func (h *Hub) Discard(tenant string) (stop func()) {
	f := h.feed(tenant)
	s := f.subscribe(filter{}, 0)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-s.wake:
				s.take(nil)
			case <-done:
				return
			}
		}
	}()
	return func() {
		f.unsubscribe(s)
		close(done)
	}
}
