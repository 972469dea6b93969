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
// another one takes that over. Traces are held meanwhile.
const spoolGrace = 500 * time.Millisecond

// sinks are what traces go to: an endpoint, a file, both or neither.
type sinks struct {
	resource otlp.Options
	log      *slog.Logger

	endpoint, file swappable
	endpointIs     endpointSettings
	fileIs         fileSettings
	// leaving is the spool of the exporter that was exchanged last, unless it was taken
	// over.
	leaving    string
	spoolLimit atomic.Int64
	deadline   atomic.Pointer[time.Time]
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
		resource: resource, log: log, endpoint: swappable{log: log}, file: swappable{log: log},
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
	// What could be opened beforehand. An endpoint whose spool is in use cannot.
	endpoint, file       exporter.Exporter
	newEndpoint, newFile bool
	handOver             bool
}

// prepare opens what the configuration asks for and is not there yet. After an error
// everything is as before. The plan must be carried out or dropped.
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
	spool := e.Spool.Dir
	p.handOver = p.newEndpoint && spool != "" && spool == s.endpointIs.spool.Dir && s.endpointIs.to != "" && p.endpointIs.to != ""
	if p.newEndpoint && !p.handOver {
		if spool != "" && spool == s.leaving {
			s.endpoint.work.Wait() // it is still being left, which is bounded
		}
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
	if err := writable(p.loaded.Export.Spool.Dir); err != nil {
		return nil, p.loaded.Error("export.spool.dir", err)
	}
	e, err := openOTLP(protocolOf(p.loaded.Export.OTLP), p.endpointOptions())
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
		OTLP: drawn(p.sinks.resource), Queue: queue(c.Queue, 0),
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

// carryOut makes the change. What was there before sends its rest for as long as limit.
// The error is that the spool could not be taken over; then traces go without it.
func (p *plan) carryOut(limit time.Duration) (err error) {
	s, old := p.sinks, p.sinks.endpointIs
	if p.newFile {
		s.fileIs = p.fileIs
		ctx, stop := context.WithTimeout(context.Background(), limit)
		s.file.retireLater(ctx, stop, s.file.swap(p.file))
	}
	if !p.newEndpoint {
		return nil
	}
	s.endpointIs = p.endpointIs
	s.spoolLimit.Store(0)
	if p.endpointIs.spool.Dir != "" {
		s.spoolLimit.Store(int64(p.endpointIs.spool.MaxBytes))
	}
	if p.handOver {
		return p.handOverSpool(int64(old.queue.Spans))
	}
	s.leaving = old.spool.Dir
	ctx, stop := context.WithTimeout(context.Background(), limit)
	s.endpoint.retireLater(ctx, stop, s.endpoint.swap(p.endpoint))
	return nil
}

// handOverSpool exchanges an exporter for one with the same spool.
func (p *plan) handOverSpool(spans int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), spoolGrace)
	defer cancel()
	return p.sinks.endpoint.handOver(ctx, spans, p.openAnyhow)
}

// openAnyhow is openEndpoint, but leaves out a spool that cannot be opened: what goes to
// the endpoint without it is counted at least. The next reload tries again.
func (p *plan) openAnyhow() (exporter.Exporter, error) {
	e, err := p.openEndpoint()
	if err == nil {
		return e, nil
	}
	s := p.sinks
	p.loaded.Export.Spool.Dir = ""
	s.endpointIs.spool.Dir = ""
	s.spoolLimit.Store(0)
	e, again := p.openEndpoint()
	if again != nil {
		s.endpointIs = endpointSettings{}
		return nil, errors.Join(err, again)
	}
	return e, err
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
