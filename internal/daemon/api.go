// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/tenants"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/config"
)

// apiServer is what tenants and the operator ask. A nil one is none.
type apiServer struct {
	hub *backend.Hub
	// server is nil until start, which metrics do not wait for.
	server atomic.Pointer[backend.Server]
	log    *slog.Logger
}

// newAPI makes what the configuration asks for: nil if it has neither a socket nor an
// address, because then nothing needs to be remembered.
func newAPI(c config.API, resource otlp.Options, log *slog.Logger) *apiServer {
	if c.Socket == "" && c.Listen == "" {
		return nil
	}
	return &apiServer{hub: backend.NewHub(backend.HubOptions{OTLP: resource}), log: log}
}

// sink returns what takes the tenants' views, or nothing.
func (a *apiServer) sink() []tenants.Sink {
	if a == nil {
		return nil
	}
	return []tenants.Sink{a.hub}
}

// take keeps traces for the operator.
func (a *apiServer) take(traces []*trace.Trace) {
	if a != nil {
		a.hub.Operator(traces)
	}
}

// start begins to answer. The tenants are those that there are now; firewall and fast path may be
// nil.
func (a *apiServer) start(l *config.Loaded, list []config.Tenant, rules backend.Firewall, path backend.FastPath, probes backend.Probes) error {
	if a == nil {
		return nil
	}
	if err := checkAPI(l); err != nil {
		return err
	}
	c := l.API
	server, err := backend.Serve(backend.ServerOptions{
		Hub: a.hub, Socket: c.Socket, Group: c.Group, Listen: c.Listen,
		TLS:    tlsFilesOf(c),
		Policy: policyOf(c.Operators, list), Firewall: rules, FastPath: path, Probes: probes,
		Limits: backend.Limits{
			Streams: c.StreamsMax, ClientStreams: c.ClientStreamsMax,
			ClientRate: c.ClientRate, ClientBurst: c.ClientRate*2 + c.ClientRate/2,
		},
		Log: a.log,
	})
	if err != nil {
		return l.Error("api", err)
	}
	a.hub.SetTenants(idsOf(list))
	a.server.Store(server)
	attrs := []any{"socket", c.Socket}
	if addr := server.Addr(); addr != nil {
		attrs = append(attrs, "address", addr.String())
	}
	a.log.Info("serving the API", attrs...)
	return nil
}

// answering returns what answers, nil if nothing does yet.
func (a *apiServer) answering() *backend.Server {
	if a == nil {
		return nil
	}
	return a.server.Load()
}

// checkAPI tells what start would refuse, as far as that can be told without listening.
func checkAPI(l *config.Loaded) error {
	var errs []error
	if l.API.Socket != "" {
		if err := writable(filepath.Dir(l.API.Socket)); err != nil {
			errs = append(errs, l.Error("api.socket", err))
		}
		if err := backend.CheckGroup(l.API.Group); err != nil {
			errs = append(errs, l.Error("api.group", err))
		}
	}
	if l.API.Listen != "" {
		if err := tlsFilesOf(l.API).Check(); err != nil {
			errs = append(errs, l.Error("api.tls", err))
		}
	}
	return errors.Join(errs...)
}

func tlsFilesOf(c config.API) backend.TLSFiles {
	return backend.TLSFiles{Cert: c.TLS.CertFile, Key: c.TLS.KeyFile, ClientCA: c.TLS.ClientCAFile}
}

// prepare checks that the API can change to these operators and tenants, which commit then
// does: streams to which nobody has a right any more end. With renew, certificates are read
// again.
func (a *apiServer) prepare(operators config.Access, list []config.Tenant, renew bool) (commit func(), err error) {
	server := a.answering()
	if server == nil {
		return func() {}, nil
	}
	change, err := server.Prepare(policyOf(operators, list), renew)
	if err != nil {
		return nil, err
	}
	return func() {
		change()
		a.hub.SetTenants(idsOf(list))
	}, nil
}

// shutdown ends it, at the latest when ctx is done.
func (a *apiServer) shutdown(ctx context.Context) {
	if server := a.answering(); server != nil {
		server.Shutdown(ctx)
	}
}

// stats returns what the metrics show.
func (a *apiServer) stats() metrics.APIStats {
	server := a.answering()
	if server == nil {
		return metrics.APIStats{}
	}
	s := server.Stats()
	return metrics.APIStats{
		Requests: s.Requests, Refused: s.Refused, Connections: s.Connections, Streams: s.Streams,
		LinesSent: s.LinesSent, LinesLost: s.LinesLost,
	}
}

// policyOf returns who may see what. The agent's own user is an operator, because it may do
// to the agent whatever it likes.
func policyOf(operators config.Access, list []config.Tenant) backend.Policy {
	p := backend.Policy{Operators: accessOf(operators), Tenants: make(map[string]backend.Access, len(list)), Readers: make(map[string]backend.Access, len(list))}
	p.Operators.UIDs = append(p.Operators.UIDs, uint32(os.Geteuid()))
	for i := range list {
		p.Tenants[list[i].ID] = accessOf(list[i].Access)
		p.Readers[list[i].ID] = accessOf(list[i].Readers)
	}
	return p
}

func accessOf(a config.Access) backend.Access {
	out := backend.Access{Certificates: a.Certificates}
	for _, id := range a.UIDs {
		out.UIDs = append(out.UIDs, uint32(id))
	}
	for _, id := range a.GIDs {
		out.GIDs = append(out.GIDs, uint32(id))
	}
	return out
}

func idsOf(list []config.Tenant) []string {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids
}
