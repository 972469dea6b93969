// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"crypto/tls"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
)

// Pool lets exporters share connections: many senders to one endpoint, each with headers of
// its own, need few. The zero value is ready for use.
//
// A connection carries few enough requests at a time to be below the limits that servers and
// proxies set, 100 mostly, as long as exporters have two or three under way. One whose
// requests are not answered leaves its connection to the others, and gets another one.
type Pool struct {
	mu    sync.Mutex
	conns map[poolKey][]*pooled
	// made counts the connections, so that each has a number.
	made uint64
}

// UsersPerConnection is how many exporters share a connection at most.
const UsersPerConnection = 32

// poolKey says what exporters must have in common.
type poolKey struct {
	url string
	tls *tls.Config
}

// pooled is a connection of a pool.
type pooled struct {
	*grpc.ClientConn
	number uint64
	users  int
	// left is set when an exporter has left it because it seemed dead. Nobody else gets it.
	left bool
}

// Connections returns how many there are.
func (p *Pool) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, conns := range p.conns {
		n += len(conns)
	}
	return n
}

// lease is an exporter's share in a connection.
type lease struct {
	pool *Pool
	key  poolKey
	dial []grpc.DialOption
	// conn is what it took last.
	conn *pooled
}

// lease returns a share that has no connection yet.
func (p *Pool) lease(to endpoint.Endpoint, config *tls.Config, dial ...grpc.DialOption) *lease {
	l := &lease{pool: p, key: poolKey{to.URL, config}, dial: dial}
	if to.Plain() {
		l.key.tls = nil
	}
	return l
}

// renew takes a connection, and another one next time: one that is made later than that. What
// it returns must be released.
func (l *lease) renew() (*pooled, error) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	after := uint64(0)
	if l.conn != nil {
		after, l.conn.left = l.conn.number, true
	}
	next, err := l.pool.pick(l, after)
	if err != nil {
		return nil, err
	}
	next.users++
	l.conn = next
	return next, nil
}

// release gives the share in a connection back.
func (l *lease) release(conn *pooled) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.pool.drop(l.key, conn)
}

// pick returns a connection that has room and a higher number than after, and makes one if
// there is none. p.mu is held.
func (p *Pool) pick(l *lease, after uint64) (*pooled, error) {
	for _, c := range p.conns[l.key] {
		if c.number > after && !c.left && c.users < UsersPerConnection {
			return c, nil
		}
	}
	conn, err := grpc.NewClient(l.target(), append(l.dial[:len(l.dial):len(l.dial)], grpc.WithTransportCredentials(l.credentials()))...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if p.conns == nil {
		p.conns = make(map[poolKey][]*pooled)
	}
	p.made++
	c := &pooled{ClientConn: conn, number: p.made}
	p.conns[l.key] = append(p.conns[l.key], c)
	return c, nil
}

// drop takes one user from a connection, and closes it after the last one. p.mu is held.
func (p *Pool) drop(key poolKey, c *pooled) {
	if c.users--; c.users > 0 {
		return
	}
	_ = c.Close() // nobody uses it
	p.conns[key] = slices.DeleteFunc(p.conns[key], func(other *pooled) bool { return other == c })
	if len(p.conns[key]) == 0 {
		delete(p.conns, key)
	}
}

func (l *lease) target() string { return endpoint.HostPort(l.key.url) }

func (l *lease) credentials() credentials.TransportCredentials {
	switch {
	case endpoint.Endpoint{URL: l.key.url}.Plain():
		return insecure.NewCredentials()
	case l.key.tls == nil:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	return credentials.NewTLS(l.key.tls)
}
