// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"sync"

	"golang.org/x/time/rate"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Limits bound what clients may take of the agent's time and memory. What is 0 gets its
// default.
type Limits struct {
	// Connections is how many may be open on the unix socket, and as many over TLS.
	Connections int
	// Streams is how many may be open. An operator may open its own beyond that, so that no
	// tenant can keep the operator out.
	Streams int
	// For each client: a user on the unix socket, or the key of a certificate. Connections over
	// TLS are counted by address, because they have to be bounded before a certificate is seen.
	ClientConnections, ClientStreams, ClientRequests int
	// ClientRate is how many requests a second one client may make, on average, and
	// ClientBurst how many at once.
	ClientRate, ClientBurst int
	// Firewall is how many requests of all clients may be about a firewall at the same time, and
	// ClientFirewall how many of one; as many may be about a fast path. An operator's are not
	// counted with those of all.
	Firewall, ClientFirewall int
}

// The defaults of Limits.
const (
	DefaultConnections       = 256
	DefaultStreams           = 32
	DefaultClientConnections = 16
	DefaultClientStreams     = 4
	DefaultClientRequests    = 8
	DefaultClientRate        = 20
	DefaultClientBurst       = 50
	DefaultFirewall          = 16
	DefaultClientFirewall    = 4
)

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		limit *int
		is    int
	}{
		{&l.Connections, DefaultConnections},
		{&l.Streams, DefaultStreams},
		{&l.ClientConnections, DefaultClientConnections},
		{&l.ClientStreams, DefaultClientStreams},
		{&l.ClientRequests, DefaultClientRequests},
		{&l.ClientRate, DefaultClientRate},
		{&l.ClientBurst, DefaultClientBurst},
		{&l.Firewall, DefaultFirewall},
		{&l.ClientFirewall, DefaultClientFirewall},
	} {
		if *d.limit <= 0 {
			*d.limit = d.is
		}
	}
	return l
}

// maxClients bounds how many clients are remembered: those that have something open, and
// those that have asked lately.
const maxClients = 4096

// quotas holds what each client has open.
type quotas struct {
	limits Limits

	mu      sync.Mutex
	clients map[string]*client
	streams int
	// work is how many requests of all are about what.
	work [works]int
}

// client is what one has open, and how much it has asked lately.
type client struct {
	requests, streams int
	work              [works]int
	rate              *rate.Limiter
}

func newQuotas(l Limits) *quotas { return &quotas{limits: l, clients: map[string]*client{}} }

// request takes a place for a request, or returns why there is none. It is given back by
// done.
func (q *quotas) request(key string) (code string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clients[key]
	if c == nil {
		if len(q.clients) >= maxClients && !q.forget() {
			return api.CodeBusy
		}
		c = &client{rate: rate.NewLimiter(rate.Limit(q.limits.ClientRate), q.limits.ClientBurst)}
		q.clients[key] = c
	}
	if c.requests >= q.limits.ClientRequests || !c.rate.Allow() {
		return api.CodeTooMany
	}
	c.requests++
	return ""
}

// done gives back what request took.
func (q *quotas) done(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clients[key].requests--
}

// forget makes room by forgetting those that have nothing open and may ask as much as anyone
// new. It reports whether there is any now.
func (q *quotas) forget() bool {
	for key, c := range q.clients {
		if c.requests == 0 && c.streams == 0 && c.rate.Tokens() >= float64(q.limits.ClientBurst) {
			delete(q.clients, key)
		}
	}
	return len(q.clients) < maxClients
}

// stream turns the place of a request into that of a stream, or returns why it cannot. It
// is given back by streamDone, after which done gives back that of the request.
func (q *quotas) stream(key string, operator bool) (code string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clients[key]
	switch {
	case c.streams >= q.limits.ClientStreams:
		return api.CodeTooMany
	case q.streams >= q.limits.Streams && !operator:
		return api.CodeBusy
	}
	c.streams++
	c.requests-- // a stream does not count twice
	q.streams++
	return ""
}

// streamDone gives back what stream took.
func (q *quotas) streamDone(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clients[key]
	c.streams--
	c.requests++
	q.streams--
}

// work is what requests are about that take the agent's time.
type work int

const (
	firewallWork work = iota
	fastPathWork
	works // how many
)

// String names what is asked.
func (w work) String() string {
	if w == fastPathWork {
		return "fast path"
	}
	return "firewall"
}

// begin takes a place for a request about something, or returns why there is none. It is given
// back by end.
func (q *quotas) begin(w work, key string, operator bool) (code string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clients[key]
	switch {
	case c.work[w] >= q.limits.ClientFirewall:
		return api.CodeTooMany
	case q.work[w] >= q.limits.Firewall && !operator:
		return api.CodeBusy
	}
	c.work[w]++
	q.work[w]++
	return ""
}

// end gives back what begin took.
func (q *quotas) end(w work, key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clients[key].work[w]--
	q.work[w]--
}
