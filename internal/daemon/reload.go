// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/internal/config"
)

// readAgain reads the configuration again. If anything is wrong, all stays as it is.
func (d *daemon) readAgain() change {
	d.sinks.reopenFile() // whatever is wrong with the configuration, logrotate has renamed it
	p, err := d.prepareReload()
	if err != nil {
		return change{make: func(context.Context) { d.reloaded(err) }, drop: nothing}
	}
	return change{make: func(ctx context.Context) { d.reloaded(d.take(ctx, p)) }, drop: p.sending.drop}
}

// reloaded tells how a reload has ended.
func (d *daemon) reloaded(err error) {
	defer func() { d.service.ready(d.status()) }()
	switch {
	case errors.Is(err, errInPart):
		d.failedReloads.Add(1)
	case err != nil:
		d.failedReloads.Add(1)
		d.logLines("configuration not reloaded; the old one stays in force", err)
		return
	default:
		d.reloads.Add(1)
	}
	d.logTroubles()
}

// errInPart means that some of a configuration is in force and that errors for the rest
// are logged.
var errInPart = errors.New("reloaded in part")

// reload is a configuration that is ready to be put in force.
type reload struct {
	loaded           *config.Loaded
	changed, restart []string
	counting         *telemetryPlan
	sending          *plan
	tenants          *tenantsPlan
}

// prepareReload reads the configuration and opens what it asks for.
func (d *daemon) prepareReload() (*reload, error) {
	loaded, err := config.Load(d.opts.File, d.opts.Environ)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings(loaded) {
		d.log.Warn(w)
	}
	next := d.config
	p := &reload{loaded: loaded}
	p.changed, p.restart = next.Take(loaded.Config)
	loaded.Config = next
	if p.counting, err = d.telemetry.prepare(loaded); err != nil {
		return nil, err
	}
	if p.sending, err = d.sinks.prepare(loaded); err != nil {
		return nil, err
	}
	if p.tenants, err = d.prepareTenants(loaded); err != nil {
		p.sending.drop()
		return nil, err
	}
	return p, nil
}

// take puts a configuration in force.
func (d *daemon) take(ctx context.Context, p *reload) error {
	next := p.loaded.Config
	if err := d.sample(next.Sampling); err != nil {
		p.sending.drop()
		return p.loaded.Error("sampling", err)
	}
	if err := (*d.agent.Load()).SetScope(scope(next.Trace)); err != nil {
		p.sending.drop()
		return errors.Join(p.loaded.Error("trace", err), d.sample(d.config.Sampling))
	}
	d.config = next
	d.watchTenants(next.Tenancy.Dir)
	d.carryOutTenants(p.tenants)
	d.level.Set(slog.Level(next.Log.Level))
	d.scraped.Store(next.Metrics.Prometheus.Enabled)
	whole := d.change(ctx, p.sending, p.counting)
	if len(p.changed) == 0 {
		p.changed = []string{"nothing"}
	}
	d.log.Info("configuration reloaded", "changed", strings.Join(p.changed, ", "))
	if len(p.restart) > 0 {
		d.log.Warn("settings that need a restart are unchanged", "settings", strings.Join(p.restart, ", "))
	}
	return whole
}

// sample has the kernel side and the exporter leave out what the configuration says.
func (d *daemon) sample(c config.Sampling) error {
	inKernel, err := threshold(c)
	if err != nil {
		return err
	}
	if err := d.sampler.Set(samplingOptions(c.OfTraces())); err != nil {
		return err
	}
	return (*d.agent.Load()).SetSampling(inKernel)
}

// change makes the prepared changes, and logs those that fail after all.
func (d *daemon) change(ctx context.Context, sending *plan, counting *telemetryPlan) (whole error) {
	sending.carryOut(time.Duration(d.config.Shutdown.Timeout))
	// A failed last push loses nothing: the next one continues the totals.
	within, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	if err := counting.carryOut(within); err != nil {
		d.logLines("not pushing metrics; fix this and reload", err)
		whole = errInPart
	}
	return whole
}
