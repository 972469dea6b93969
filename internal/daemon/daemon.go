// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/sampling"
	"github.com/dwelltrace/dwell/exporter/tenants"
	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/probe"
	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/tally"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// closing is how long the parts that hold no traces may take to end.
const closing = time.Second

// daemon is a running agent with all that is around it.
type daemon struct {
	opts    Options
	config  config.Config // what is in force; the main loop's
	log     *slog.Logger
	level   *slog.LevelVar
	service service

	sinks     *sinks
	sampler   *sampling.Exporter
	telemetry *telemetry
	server    *server
	// api answers tenants and the operator, and router makes what each tenant may see.
	api    *apiServer
	router *tenants.Router
	// tenancy is who the tenants are.
	tenancy tenancy
	// firewall keeps tenants' rules, and is nil if they may not have any, or not yet: metrics do not
	// wait for it. ruleTrace tells traces of it.
	firewall  atomic.Pointer[firewall.Manager]
	ruleTrace *ruletrace.Firewall
	// fastPath is that of the tenants, from the start on, which metrics do not wait for.
	// newFastPath makes it, and is another one in tests.
	fastPath    atomic.Pointer[fastPath]
	newFastPath func(accelerator.Options) (fastPath, error)
	// prober sends pings of its own.
	prober *probe.Prober
	agent  atomic.Pointer[tracing]
	phase  atomic.Int32
	began  time.Time
	// gaveUp is set if the agent did not end in time, so that nothing else waits for it.
	gaveUp bool
	// startAgent is [agent.Start], but for tests.
	startAgent func(agent.Options) (tracing, error)

	scraped                atomic.Bool
	reloads, failedReloads atomic.Uint64
	// troubles is what was last logged about the scope, conflicts and unmatched about tenants.
	troublesMu sync.Mutex
	troubles   agent.Unresolved
	conflicts  map[string]bool
	unmatched  []tenant.Ref
	// These are problems that are logged.
	rulesTroubles, fastPathTroubles, probeTroubles map[string]bool
	losses                                         lossLog // the beat's
}

// tracing is what the daemon needs of an [agent.Agent].
type tracing interface {
	Run(context.Context) (agent.Summary, error)
	Status() agent.Status
	SetScope(agent.Scope) error
	SetSampling(threshold uint64) error
	SetTenants(*tenant.Set)
	Namespaces() probe.Namespaces
}

func startAgent(o agent.Options) (tracing, error) { return agent.Start(o) }

// result is what a run of the agent returns.
type result struct {
	summary agent.Summary
	err     error
}

// Run traces until ctx is done, and then shuts down cleanly: the programs are detached,
// the open pings closed, and what waits is sent, within shutdown.timeout. An error of the
// configuration, of the start or of tracing ends it; that something could not be sent at
// the end is one, too.
func Run(ctx context.Context, o Options) error {
	loaded, err := config.Load(o.File, o.Environ)
	if err != nil {
		return err
	}
	d, err := newDaemon(o, loaded)
	if err != nil {
		return err
	}
	return d.run(ctx, loaded)
}

func (d *daemon) run(ctx context.Context, loaded *config.Loaded) error {
	err := d.start(ctx, loaded)
	if err == nil {
		err = d.trace(ctx)
	}
	d.close()
	return d.logError(err)
}

func newDaemon(o Options, loaded *config.Loaded) (*daemon, error) {
	d := &daemon{opts: o, config: loaded.Config, began: time.Now(), startAgent: startAgent, newFastPath: newFastPath}
	d.log, d.level = o.logger(d.config.Log)
	if o.OnLogger != nil {
		o.OnLogger(d.log)
	}
	d.service = newService(d.log)
	resource := o.resource(d.config)
	d.sinks = newSinks(resource, d.log)
	d.api = newAPI(d.config.API, resource, d.log)
	d.router = tenants.New(append(d.api.sink(), d.sinks.tenants)...)
	d.telemetry = &telemetry{resource: resource, log: d.log, read: d.stats}
	d.prober = d.newProber()
	var err error
	d.sampler, err = sampling.New(samplingOptions(d.config.Sampling.OfTraces()), d.sinks)
	if err != nil {
		return nil, loaded.Error("sampling", err)
	}
	return d, nil
}

// start makes everything, the agent last.
func (d *daemon) start(ctx context.Context, loaded *config.Loaded) error {
	for _, w := range slices.Concat(d.opts.Warnings, warnings(loaded)) {
		d.log.Warn(w)
	}
	logCapabilities(d.log)
	counting, err := d.telemetry.prepare(loaded)
	if err != nil {
		return err
	}
	if err := counting.carryOut(ctx); err != nil {
		return loaded.Error("metrics.otlp", err)
	}
	d.scraped.Store(d.config.Metrics.Prometheus.Enabled)
	if d.server, err = serve(loaded, d.view()); err != nil {
		return err
	}
	if d.server != nil {
		d.log.Info("serving metrics and health", "address", d.server.addr.String())
	}
	d.watchTenants(loaded.Tenancy.Dir)
	who, err := d.prepareTenants(loaded)
	if err != nil {
		return err
	}
	if err := d.openFirewall(ctx, loaded, who.state); err != nil {
		return err
	}
	if err := d.openFastPath(loaded); err != nil {
		return err
	}
	if err := d.api.start(loaded, who.list(), asked(d.rules()), d.askedFastPath(), askedProbes{d.prober}); err != nil {
		return err
	}
	d.carryOutTenants(who)
	a, err := d.startAgent(d.agentOptions(loaded))
	if err != nil {
		return err
	}
	d.agent.Store(&a)
	return nil
}

func (d *daemon) agentOptions(loaded *config.Loaded) agent.Options {
	opts := agentOptions(d.config.Trace, d.config.Containers)
	opts.HostID = d.sinks.resource.Host.ID
	opts.IdleTimeout = time.Duration(d.config.Shutdown.Timeout)
	opts.WithoutNetfilter = func(err error) {
		d.log.Warn("netfilter chains are not timed", "error", err)
	}
	opts.OnRefused = d.logRefused
	opts.Threshold, _ = threshold(d.config.Sampling) // newDaemon has checked it
	opts.Tenants = d.tenancy.state.Set
	d.tracedBy(&opts)
	opts.OnTrace = func(t *trace.Trace) {
		kept := d.sinks.open() && d.sampler.Keeps(t)
		d.telemetry.record(t, kept)
		d.prober.Traced(t, kept)
	}
	opts.OnTraces = func(traces []*trace.Trace) {
		d.api.take(traces)
		d.router.Take(traces)
	}
	opts.Open = func() (agent.Sinks, error) {
		p, err := d.sinks.prepare(loaded)
		if err != nil {
			return agent.Sinks{}, err
		}
		p.carryOut(0)
		return agent.Sinks{Exporter: d.sampler}, nil
	}
	return opts
}

// trace runs the agent until ctx is done or it fails.
func (d *daemon) trace(ctx context.Context) error {
	over, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var background sync.WaitGroup
	defer background.Wait()
	defer end()
	done := make(chan result, 1)
	go func() {
		summary, err := (*d.agent.Load()).Run(over)
		done <- result{summary, err}
	}()
	d.phase.Store(int32(running))
	d.log.Info("attached", "version", d.opts.Resource.Version, "config", d.opts.File, "host", d.sinks.resource.Host.Name)
	d.logTroubles()
	d.service.ready(d.status())
	background.Go(func() { d.service.beat(over, d.beat) })
	if m := d.rules(); m != nil {
		background.Go(func() { d.logIfAny(m.Run(over)) })
	}
	background.Go(func() { d.runFastPath(over) })
	background.Go(func() { d.prober.Run(over, (*d.agent.Load()).Namespaces()) })
	if d.sinks.endpoint.open() {
		background.Go(func() { d.checkEndpoint(over) })
	}
	return d.follow(ctx, end, done)
}

// follow takes what is changed from outside until ctx is done, or the agent is. Changes and
// the end are one after the other, so that nothing is exchanged while it is shut down.
func (d *daemon) follow(ctx context.Context, end func(), done <-chan result) error {
	var pending <-chan change
	for {
		reloads, tenants := d.opts.Reload, d.tenancy.changes()
		if pending != nil { // one at a time
			reloads, tenants = nil, nil
		}
		select {
		case <-ctx.Done():
			return d.stop(end, done)
		case <-reloads:
			d.service.reloading()
			pending = prepare(ctx, d.readAgain)
		case <-tenants:
			d.logWatch()
			pending = prepare(ctx, d.readTenants)
		case c := <-pending:
			pending = nil
			c.make(ctx)
		case r := <-done:
			return errors.Join(errors.New("tracing ended unexpectedly"), r.err)
		}
	}
}

// stop shuts the agent down cleanly.
func (d *daemon) stop(end func(), done <-chan result) error {
	limit := time.Duration(d.config.Shutdown.Timeout)
	d.phase.Store(int32(stopping))
	d.service.stopping()
	d.log.Info("stopping", "timeout", limit.String())
	before, ofTenants := d.sinks.Stats(), d.sinks.tenants.total()
	d.sinks.endBy(time.Now().Add(limit - d.stashing(limit)))
	end()
	var r result
	select {
	case r = <-done:
	case <-time.After(limit + closing):
		d.gaveUp = true
		r = result{d.agentStatus().Summary, fmt.Errorf("shutdown took longer than shutdown.timeout, %v; giving up", limit)}
	}
	r.summary.Export = d.sinks.Stats()
	d.sumUp(r.summary)
	lost := r.summary.Export.TotalLost().Minus(before.TotalLost())
	if lost.Spans > 0 {
		r.err = errors.Join(r.err, fmt.Errorf("%v were lost on shutdown: they could not be sent within shutdown.timeout, %v%s", lost, limit, d.advice()))
	}
	return errors.Join(r.err, d.sinks.tenants.lostSince(ofTenants, limit))
}

// stashing is the part of the time to end that is for writing to the spool.
func (d *daemon) stashing(limit time.Duration) time.Duration {
	if d.sinks.endpointIs.spool.Dir == "" && !d.sinks.tenants.spools() {
		return 0
	}
	return limit / 4
}

// advice says what would have kept traces from being lost at the end.
func (d *daemon) advice() string {
	if d.sinks.endpointIs.to == "" || d.sinks.endpointIs.spool.Dir != "" {
		return ""
	}
	return "; a spool would have kept them (export.spool.dir)"
}

// sumUp logs what the whole run saw.
func (d *daemon) sumUp(s agent.Summary) {
	attrs := []any{
		"pings", s.Pings(), "complete", s.Complete, "dropped", tally.Sum(s.Dropped), "incomplete", tally.Sum(s.Incomplete),
		"other", tally.Sum(s.Other),
		"sampled_out", d.sampler.SampledOut().Traces, "events", s.Kernel.Total().Emitted, "events_lost", s.Lost(),
		"spans_sent", s.Export.Sent.Spans,
	}
	if losses := s.Losses().String(); losses != "" {
		attrs = append(attrs, "losses", losses)
	}
	if lost := s.Export.LostString(); lost != "" {
		attrs = append(attrs, "lost", lost)
	}
	d.sinks.tenants.sumUp()
	d.log.Info("stopped", attrs...)
}

// close ends what is around the agent. It may be called after a start that failed.
func (d *daemon) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	d.telemetry.stop(ctx)
	if d.gaveUp {
		waitFor(ctx, func() { _ = d.sinks.Shutdown(ctx) })
	} else {
		_ = d.sinks.Shutdown(ctx) // what is lost is logged already
	}
	d.api.shutdown(ctx)
	d.tenancy.close()
	d.server.shutdown(ctx)
	d.closeFastPath()
	d.closeFirewall()
}

// logError logs an error as JSON if that is what the log is in, and returns one without text
// then.
func (d *daemon) logError(err error) error {
	if err == nil || d.config.Log.Format != config.JSON {
		return err
	}
	d.logLines("dwell failed", err)
	return loggedError{err}
}

// logLines logs each of joined errors.
func (d *daemon) logLines(msg string, err error) {
	for line := range strings.Lines(err.Error()) {
		d.log.Error(msg, "error", strings.TrimSpace(line))
	}
}

// loggedError is an error that is logged already.
type loggedError struct{ error }

// Error returns nothing, because the text is logged already.
func (loggedError) Error() string { return "" }

// Unwrap returns the error.
func (e loggedError) Unwrap() error { return e.error }
