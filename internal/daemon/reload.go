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

// reload reads the configuration again and takes what has changed. If anything is wrong,
// all stays as it is.
func (d *daemon) reload(ctx context.Context) {
	d.service.reloading()
	defer func() { d.service.ready(d.status()) }()
	d.sinks.reopenFile() // whatever is wrong with the configuration, logrotate has renamed it
	loaded, err := config.Load(d.opts.File, d.opts.Environ)
	if err == nil {
		err = d.take(ctx, loaded)
	}
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

// take puts a configuration in force.
func (d *daemon) take(ctx context.Context, loaded *config.Loaded) error {
	for _, w := range warnings(loaded) {
		d.log.Warn(w)
	}
	next := d.config
	changed, restart := next.Take(loaded.Config)
	loaded.Config = next
	counting, err := d.telemetry.prepare(loaded)
	if err != nil {
		return err
	}
	sending, err := d.sinks.prepare(loaded)
	if err != nil {
		return err
	}
	who, err := d.prepareTenants(loaded)
	if err != nil {
		sending.drop()
		return err
	}
	if err := d.sampler.Set(samplingOptions(next.Sampling)); err != nil {
		sending.drop()
		return loaded.Error("sampling", err)
	}
	if err := (*d.agent.Load()).SetScope(scope(next.Trace)); err != nil {
		sending.drop()
		return errors.Join(loaded.Error("trace", err), d.sampler.Set(samplingOptions(d.config.Sampling)))
	}
	d.config = next
	d.watchTenants(next.Tenancy.Dir)
	d.carryOutTenants(who)
	d.level.Set(slog.Level(next.Log.Level))
	d.scraped.Store(next.Metrics.Prometheus.Enabled)
	whole := d.change(ctx, sending, counting)
	if len(changed) == 0 {
		changed = []string{"nothing"}
	}
	d.log.Info("configuration reloaded", "changed", strings.Join(changed, ", "))
	if len(restart) > 0 {
		d.log.Warn("settings that need a restart are unchanged", "settings", strings.Join(restart, ", "))
	}
	return whole
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
