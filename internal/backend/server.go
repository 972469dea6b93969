// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// ServerOptions say where a server listens and whom it answers.
type ServerOptions struct {
	Hub *Hub
	// Socket is the path of a unix socket, "" for none; Group is the name or the number of
	// the group that may connect to it besides the agent's user, "" for the agent's group.
	Socket, Group string
	// Listen is the address and port for clients with certificates, "" for none.
	Listen string
	TLS    TLSFiles
	Policy Policy
	Limits Limits
	// Firewall keeps the tenants' rules; nil if the agent keeps none.
	Firewall Firewall
	// FastPath is that of the tenants; nil if the agent has none.
	FastPath FastPath
	// Probes are the agent's own; nil if it sends none.
	Probes Probes
	// Log gets what goes wrong, and who has changed a firewall; nil discards.
	Log *slog.Logger

	// heartbeat is api.HeartbeatInterval, readTimeout and changeTimeout are the constants, but
	// for tests.
	heartbeat, readTimeout, changeTimeout time.Duration
}

// Times after which a client that does nothing is let go.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = 15 * time.Second
	idleTimeout  = time.Minute
	// changeTimeout is how long a firewall may take for an answer: somebody else may hold the
	// lock of iptables.
	changeTimeout = time.Minute
	// stallTimeout is how long the reader of a stream may take nothing. It loses lines much
	// earlier, but may have been stopped by Ctrl-Z and come back.
	stallTimeout = 5 * time.Minute
)

// maxHeaderBytes bounds the head of a request.
const maxHeaderBytes = 16 << 10

// Server answers the API's requests.
type Server struct {
	hub       *Hub
	log       *slog.Logger
	heartbeat time.Duration
	firewall  Firewall
	fastPath  FastPath
	probes    Probes
	// changeTimeout is how long a firewall may take.
	changeTimeout time.Duration
	tally         *tally
	gate          *gate
	quotas        *quotas
	routes        []route
	http          *http.Server
	addr          net.Addr
	tlsFiles      TLSFiles
	tls           atomic.Pointer[identity]
	serving       sync.WaitGroup

	mu      sync.Mutex
	rules   *rules
	streams map[*subscriber]*stream
	ending  bool
	// handling counts requests.
	handling sync.WaitGroup
}

// Serve starts a server.
func Serve(o ServerOptions) (*Server, error) {
	rules, err := newRules(o.Policy)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.heartbeat = cmp.Or(o.heartbeat, api.HeartbeatInterval)
	o.readTimeout = cmp.Or(o.readTimeout, readTimeout)
	o.changeTimeout = cmp.Or(o.changeTimeout, changeTimeout)
	limits, tally := o.Limits.withDefaults(), newTally()
	s := &Server{
		hub: o.Hub, log: o.Log, heartbeat: o.heartbeat, tally: tally, gate: newGate(limits, tally, o.Log),
		quotas: newQuotas(limits), routes: routes(), tlsFiles: o.TLS, rules: rules, streams: map[*subscriber]*stream{},
		firewall: o.Firewall, fastPath: o.FastPath, probes: o.Probes, changeTimeout: o.changeTimeout,
	}
	listeners, err := s.listen(o)
	if err != nil {
		for _, l := range listeners {
			l.Close()
		}
		return nil, err
	}
	s.http = s.newHTTP(o.readTimeout)
	for _, l := range listeners {
		s.serving.Go(func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("the API is no longer served", "address", l.Addr().String(), "error", err)
			}
		})
	}
	return s, nil
}

// listen opens what is configured.
func (s *Server) listen(o ServerOptions) (listeners []net.Listener, err error) {
	if o.Socket != "" {
		group, err := groupNumber(o.Group)
		if err != nil {
			return nil, err
		}
		l, err := listenUnix(o.Socket, group)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, s.gate.guard(l))
	}
	if o.Listen == "" {
		return listeners, nil
	}
	certificates, err := s.readTLS()
	if err != nil {
		return listeners, err
	}
	s.tls.Store(certificates)
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return listeners, fmt.Errorf("cannot listen: %w; choose another address (api.listen), or stop what listens there", err)
	}
	s.addr = l.Addr()
	return append(listeners, tls.NewListener(s.gate.guard(l), s.tlsConfig())), nil
}

// CheckGroup tells whether the socket can be given to a group, by name or number.
func CheckGroup(name string) error {
	_, err := groupNumber(name)
	return err
}

// groupNumber returns the number of a group, -1 for "".
func groupNumber(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if errors.As(err, new(user.UnknownGroupError)) {
		return 0, fmt.Errorf("there is no group %q; create it, or give its number", name)
	}
	if err != nil {
		return 0, fmt.Errorf("the group of the socket: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

func (s *Server) newHTTP(read time.Duration) *http.Server {
	only1 := new(http.Protocols)
	only1.SetHTTP1(true)
	return &http.Server{
		Handler: s, Protocols: only1, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: read, ReadTimeout: read, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if in, ok := c.(*conn); ok && in.caller != nil {
				return context.WithValue(ctx, callerKey{}, in.caller)
			}
			return ctx
		},
	}
}

// Addr returns the address for clients with certificates, nil if there is none.
func (s *Server) Addr() net.Addr { return s.addr }

// Prepare checks that a policy can be put in force and, with renew, reads the certificates,
// which may have been renewed. The change is made by commit, which cannot fail: then streams
// end to which their readers have no right any more.
func (s *Server) Prepare(p Policy, renew bool) (commit func(), err error) {
	rules, err := newRules(p)
	if err != nil {
		return nil, err
	}
	var certificates *identity
	if renew && s.addr != nil {
		if certificates, err = s.readTLS(); err != nil {
			return nil, err
		}
	}
	return func() {
		if certificates != nil {
			s.tls.Store(certificates)
		}
		s.mu.Lock()
		s.rules = rules
		running := s.streamsNow()
		s.mu.Unlock()
		for _, st := range running {
			s.check(st)
		}
	}, nil
}

// Shutdown sends what waits in the streams, ends them and everything else, at the latest
// when ctx is done.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.ending = true
	running := s.streamsNow()
	s.mu.Unlock()
	for _, st := range running {
		st.subscriber.stop(stopping(), false)
	}
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	s.serving.Wait()
	s.handling.Wait()
}

// streamsNow lists the streams. s.mu is held.
func (s *Server) streamsNow() []*stream {
	list := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		list = append(list, st)
	}
	return list
}

// rightsOf returns what a caller may see now.
func (s *Server) rightsOf(c *caller) rights {
	s.mu.Lock()
	rules := s.rules
	s.mu.Unlock()
	if !s.stillVerified(c) {
		return rights{}
	}
	return rules.of(c)
}
