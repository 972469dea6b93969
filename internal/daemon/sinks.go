// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/internal/config"
)

// fileWait is how long tracing waits, each time it has traces, for room in the queue of a
// file that is slow or stuck.
const fileWait = 5 * time.Second

// spoolGrace is how long an exporter may send before its rest goes to the spool, when
// another one takes that over. Until then, that one sends from memory.
const spoolGrace = 500 * time.Millisecond

// sinks are what traces go to: an endpoint, a file, both or neither.
type sinks struct {
	resource    otlp.Options
	log         *slog.Logger
	newExporter opener

	endpoint, file swappable
	endpointIs     endpointSettings
	fileIs         fileSettings
	spoolLimit     atomic.Int64
	deadline       atomic.Pointer[time.Time]
	// tenants are the exports of tenants, which end when the sinks do.
	tenants *tenantExports
}

var _ exporter.Exporter = (*sinks)(nil)

// endpointSettings are what an exporter is made of; if they are the same, it stays.
type endpointSettings struct {
	to    string
	otlp  config.OTLP
	queue config.Queue
	spool config.Spool
	tls   digest
}

// fileSettings are the same for a file.
type fileSettings struct {
	path   string
	rotate config.Rotate
}

func newSinks(resource otlp.Options, log *slog.Logger) *sinks {
	return &sinks{
		resource: resource, log: log, newExporter: openOTLP, endpoint: swappable{log: log}, file: swappable{log: log},
		tenants: newTenantExports(resource, log),
	}
}

// plan is a change of sinks that is ready to be made.
type plan struct {
	sinks      *sinks
	loaded     *config.Loaded
	endpointIs endpointSettings
	fileIs     fileSettings
	tls        *tls.Config
	// What was opened. An endpoint whose spool the exporter before it still has gets that when
	// it ends.
	endpoint, file       exporter.Exporter
	newEndpoint, newFile bool
}

// prepare opens what the configuration asks for and is not there yet, which takes as long as
// the disk does. It changes nothing, and may run beside anything but a change. The plan must be
// carried out or dropped.
func (s *sinks) prepare(l *config.Loaded) (*plan, error) {
	credentials, sum, err := loadTLS(l)
	if err := errors.Join(err, checkEndpoint(l)); err != nil {
		return nil, err
	}
	e := l.Export
	p := &plan{
		sinks: s, loaded: l, tls: credentials,
		endpointIs: endpointSettings{endpoint(e.OTLP), e.OTLP, e.Queue, e.Spool, sum},
	}
	p.newEndpoint = !reflect.DeepEqual(p.endpointIs, s.endpointIs)
	p.fileIs = fileSettings{e.File, e.Rotate}
	p.newFile = p.fileIs != s.fileIs
	if p.newEndpoint {
		if p.endpoint, err = p.openEndpoint(); err != nil {
			return nil, err
		}
	}
	if p.newFile && e.File != "" {
		if p.file, err = p.openFile(); err != nil {
			p.drop()
			return nil, err
		}
	}
	return p, nil
}

// openEndpoint makes the exporter to the endpoint; it returns nil if there is none.
func (p *plan) openEndpoint() (exporter.Exporter, error) {
	if p.endpointIs.to == "" {
		return nil, nil //nolint:nilnil // no endpoint is not an error
	}
	e, err := p.sinks.newExporter(protocolOf(p.loaded.Export.OTLP), p.endpointOptions())
	if err != nil {
		return nil, p.loaded.Error("export", err)
	}
	return e, nil
}

func (p *plan) endpointOptions() otlpgrpc.Options {
	c, to := p.loaded.Export, p.endpointIs.to
	if named, _ := otlpgrpc.EnvironmentEndpoint(); c.OTLP.Endpoint == "" && to == named {
		to = "" // the environment may say more of it than its address
	}
	return otlpgrpc.Options{
		Endpoint: to, Source: "export.otlp.endpoint",
		Headers: headers(c.OTLP), RenewHeaders: func() (map[string]string, error) { return renewedHeaders(c.OTLP) }, TLS: p.tls,
		Compression: compressionOf(c.OTLP.Compression), OTLP: drawn(p.sinks.resource), Queue: queue(c.Queue, 0),
		Spool:   exporter.Spool{Dir: c.Spool.Dir, MaxBytes: int64(c.Spool.MaxBytes)},
		Timeout: time.Duration(c.OTLP.Timeout), Logger: p.sinks.log,
	}
}

// drawn is for backends, which draw a graph of services.
func drawn(o otlp.Options) otlp.Options {
	o.Graph = true
	return o
}

func (p *plan) openFile() (exporter.Exporter, error) {
	e, err := otlpfile.New(otlpfile.Options{
		Path: p.fileIs.path, Append: true,
		Rotate: otlpfile.Rotation{MaxBytes: int64(p.fileIs.rotate.MaxBytes), Keep: p.fileIs.rotate.Keep},
		OTLP:   p.sinks.resource, Queue: queue(p.loaded.Export.Queue, fileWait), Logger: p.sinks.log,
	})
	if err != nil {
		return nil, p.loaded.Error("export.file", err)
	}
	return e, nil
}

// drop closes what was opened for a change that is not made.
func (p *plan) drop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, e := range []exporter.Exporter{p.endpoint, p.file} {
		if e != nil {
			_ = e.Shutdown(ctx) // nothing was given to it
		}
	}
}

// carryOut makes the change, and waits for nothing. What was there before sends its rest for
// as long as limit, or until its spool is needed.
func (p *plan) carryOut(limit time.Duration) {
	s, old := p.sinks, p.sinks.endpointIs
	if p.newFile {
		s.fileIs = p.fileIs
		ctx, stop := context.WithTimeout(context.Background(), limit)
		s.file.retireLater(ctx, stop, s.file.swap(p.file))
	}
	if !p.newEndpoint {
		return
	}
	s.endpointIs = p.endpointIs
	s.spoolLimit.Store(0)
	if dir := p.endpointIs.spool.Dir; dir != "" {
		s.spoolLimit.Store(int64(p.endpointIs.spool.MaxBytes))
		if dir == old.spool.Dir {
			limit = min(limit, spoolGrace)
		}
		s.endpoint.hurryAfter(spoolGrace) // it may be one of theirs
	}
	ctx, stop := context.WithTimeout(context.Background(), limit)
	s.endpoint.retireLater(ctx, stop, s.endpoint.swap(p.endpoint))
}

// reopenFile opens the file by its name again, for somebody may have renamed it.
func (s *sinks) reopenFile() {
	if f, ok := s.file.now().(interface{ Reopen() }); ok {
		f.Reopen()
	}
}

// Export implements [exporter.Exporter].
func (s *sinks) Export(ctx context.Context, traces []*trace.Trace) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.both().Export(ctx, traces)
}

// Shutdown implements [exporter.Exporter].
func (s *sinks) Shutdown(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var own sync.WaitGroup
	defer own.Wait()
	own.Go(func() { s.tenants.Shutdown(ctx) })
	return s.both().Shutdown(ctx)
}

// Stats implements [exporter.Exporter]. What tenants are sent is not in it.
func (s *sinks) Stats() exporter.Stats { return s.both().Stats() }

func (s *sinks) both() exporter.Multi { return exporter.Multi{&s.endpoint, &s.file} }

// open reports whether traces go anywhere.
func (s *sinks) open() bool { return s.endpoint.open() || s.file.open() }

// endBy sets when everything must be over.
func (s *sinks) endBy(t time.Time) { s.deadline.Store(&t) }

func (s *sinks) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if t := s.deadline.Load(); t != nil {
		return context.WithDeadline(ctx, *t)
	}
	return context.WithCancel(ctx)
}

func headers(o config.OTLP) map[string]string {
	out := make(map[string]string, len(o.Headers))
	for name, secret := range o.Headers {
		out[strings.ToLower(name)] = secret.Value()
	}
	return out
}

// renewedHeaders is headers with files that are read again.
func renewedHeaders(o config.OTLP) (map[string]string, error) {
	out := make(map[string]string, len(o.Headers))
	for name, secret := range o.Headers {
		value, err := secret.Again()
		if err != nil {
			return nil, err
		}
		out[strings.ToLower(name)] = value
	}
	return out, nil
}

func queue(q config.Queue, wait time.Duration) exporter.Queue {
	return exporter.Queue{Spans: q.Spans, BatchSpans: q.BatchSpans, Senders: q.Senders, Delay: time.Duration(q.Delay), Wait: wait}
}
