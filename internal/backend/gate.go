// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"log/slog"
	"net"
	"sync"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// gate bounds the connections of one listener, and knows who has made each.
type gate struct {
	limits Limits
	tally  *tally
	log    *slog.Logger

	mu     sync.Mutex
	byKey  map[net.Listener]map[string]int
	opened int
}

// guarded is a listener behind the gate.
type guarded struct {
	net.Listener
	gate *gate
}

// conn is a connection that was let in.
type conn struct {
	net.Conn
	// caller is known on a unix socket, nil otherwise.
	caller *caller
	once   sync.Once
	leave  func()
}

func newGate(l Limits, t *tally, log *slog.Logger) *gate {
	return &gate{limits: l, tally: t, log: log, byKey: map[net.Listener]map[string]int{}}
}

func (g *gate) guard(l net.Listener) net.Listener {
	g.byKey[l] = map[string]int{}
	return &guarded{l, g}
}

// connections returns how many are open.
func (g *gate) connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

// Accept returns the next connection that is let in.
func (l *guarded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		in, reason := l.gate.admit(l.Listener, c)
		if reason == "" {
			return in, nil
		}
		l.gate.tally.refuse(reason)
		c.Close()
	}
}

// admit lets a connection in, or returns why not.
func (g *gate) admit(l net.Listener, c net.Conn) (in *conn, reason string) {
	in = &conn{Conn: c}
	var key string
	switch c := c.(type) {
	case *net.UnixConn:
		peer, err := peerOf(c)
		if err != nil {
			g.log.Debug("API connection refused", "error", err)
			return nil, api.ReasonNoCredentials
		}
		in.caller, key = peer, peer.key
	default:
		if host, _, err := net.SplitHostPort(c.RemoteAddr().String()); err == nil {
			key = host
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	open, all := g.byKey[l], 0
	for _, n := range open {
		all += n
	}
	if all >= g.limits.Connections || open[key] >= g.limits.ClientConnections {
		return nil, api.ReasonConnections
	}
	open[key]++
	g.opened++
	in.leave = func() { g.leave(open, key) }
	return in, ""
}

func (g *gate) leave(open map[string]int, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened--
	if open[key]--; open[key] == 0 {
		delete(open, key)
	}
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
