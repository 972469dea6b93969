// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// tenancy knows who the tenants are: those of the configuration and those of the directory.
// It is the main loop's but for what is atomic.
type tenancy struct {
	// state is what is in force, read with the configuration base.
	state *tenantdir.State
	base  *config.Loaded
	// watcher watches dir, unless that is "" or cannot be watched.
	watcher *tenantdir.Watcher
	dir     string
	// problem is the last one of watching that was logged, and exports that of exports.
	problem, exports string

	count, refused atomic.Int64
}

// tenantsPlan is a change of the tenants that is ready to be made.
type tenantsPlan struct {
	state *tenantdir.State
	base  *config.Loaded
	api   func()
	// exports is the change of where their traces go.
	exports *exportsPlan
}

// list returns the tenants that the change puts in force.
func (p *tenantsPlan) list() []config.Tenant {
	list := make([]config.Tenant, len(p.state.Definitions))
	for i := range list {
		list[i] = p.state.Definitions[i].Tenant
	}
	return list
}

// prepareTenants reads the tenants and prepares all that depends on them. After an error
// everything is as before.
func (d *daemon) prepareTenants(l *config.Loaded) (*tenantsPlan, error) {
	src := d.opts.tenants(l)
	if d.tenancy.watcher != nil && d.tenancy.dir == src.Dir {
		src.Writing = d.tenancy.watcher.Writing()
	}
	state, err := tenantdir.Read(src, d.tenancy.state)
	if err != nil {
		return nil, l.Error("tenants", err)
	}
	if d.tenancy.state != nil && state.Withheld && !d.tenancy.state.Withheld {
		return nil, errors.Join(l.Error("tenancy.dir", errNewDir), refusals(state.Problems))
	}
	p := &tenantsPlan{state: state, base: l}
	// A certificate that is just being renewed must not keep a right from being taken back.
	reload := l != d.tenancy.base
	if p.api, err = d.api.prepare(l.API.Operators, p.list(), reload); err != nil {
		return nil, l.Error("api", err)
	}
	p.exports = d.sinks.tenants.prepare(p.list())
	return p, nil
}

var errNewDir = errors.New("not taken, because files in this directory are refused, of which nothing is known yet")

// refusals joins what is wrong with files.
func refusals(problems []tenantdir.Problem) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p.Err
	}
	return errors.Join(errs...)
}

// tenants says where the tenants are read from.
func (o Options) tenants(l *config.Loaded) tenantdir.Source {
	return tenantdir.Source{Dir: l.Tenancy.Dir, Config: l, Environ: o.Environ}
}

// carryOutTenants makes the change. Whoever makes what tenants see comes first: it must know
// whose addresses to hide before anything is theirs.
func (d *daemon) carryOutTenants(p *tenantsPlan) {
	before := d.tenancy.state
	d.tenancy.state, d.tenancy.base = p.state, p.base
	d.tenancy.count.Store(int64(p.state.Count()))
	d.tenancy.refused.Store(int64(p.state.Refused()))
	d.logExports(p.exports.all)
	p.exports.carryOut(time.Duration(d.config.Shutdown.Timeout))
	if !p.state.Same(before) {
		d.router.Set(p.state.Set)
		if a := d.agent.Load(); a != nil {
			(*a).SetTenants(p.state.Set)
		}
		p.api()
		setFirewallTenants(d.rules(), p.state)
		d.setFastPathTenants(p.state)
	}
	d.setProbes()
	d.logTenants(before)
}

// logExports logs once what is wrong with exports: one tenant's mistake is not to keep the
// others from anything, and the directory is read again and again.
func (d *daemon) logExports(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != d.tenancy.exports {
		d.logLines("the export to a tenant stays as it was, none if there was none; fix this and reload", err)
	}
	d.tenancy.exports = text
}

// readTenants reads what has changed in the directory.
func (d *daemon) readTenants() change {
	p, err := d.prepareTenants(d.tenancy.base)
	return change{drop: nothing, make: func(context.Context) {
		if err != nil {
			d.logLines("tenants not changed; the old ones stay in force", err)
			return
		}
		d.carryOutTenants(p)
	}}
}

// watchTenants watches the directory that the configuration names, if it is another one
// than before.
func (d *daemon) watchTenants(dir string) {
	t := &d.tenancy
	if dir == t.dir && (t.watcher != nil || dir == "") {
		return
	}
	t.close()
	t.watcher, t.dir = nil, dir
	if dir == "" {
		return
	}
	w, err := tenantdir.Watch(dir)
	if err != nil {
		d.log.Warn("the directory of tenants is not watched; it is read on SIGHUP", "error", err)
		return
	}
	t.watcher = w
	d.logWatch()
}

// changes receives when the directory has changed.
func (t *tenancy) changes() <-chan struct{} {
	if t.watcher == nil {
		return nil
	}
	return t.watcher.C
}

func (t *tenancy) close() {
	if t.watcher != nil {
		t.watcher.Close()
	}
}

// logWatch logs that changes of the directory are noticed late, when that changes.
func (d *daemon) logWatch() {
	problem := ""
	if err := d.tenancy.watcher.Err(); err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != d.tenancy.problem {
		d.log.Warn("changes of the directory of tenants are noticed only within a minute, or on SIGHUP", "error", problem)
	}
	d.tenancy.problem = problem
}

// logTenants logs what is new since the state before: who is in force, and each refused file
// once.
func (d *daemon) logTenants(before *tenantdir.State) {
	s := d.tenancy.state
	news, mended := s.News(before)
	for _, p := range news {
		stays := "it has no tenant"
		if p.Kept {
			stays = "the earlier definition stays in force"
		}
		for line := range strings.Lines(p.Err.Error()) {
			d.log.Error("tenant refused; "+stays, "file", p.File, "error", strings.TrimSpace(line))
		}
	}
	for _, file := range mended {
		d.log.Info("tenant no longer refused", "file", file)
	}
	if s.Withheld && (before == nil || len(news) > 0) {
		d.log.Error("no tenant is in force, because nothing is known of refused files and what they own must not be shown to others; mend or remove them", "refused", s.Refused())
	}
	if s.Count() != before.Count() || s.Count() > 0 && !s.Same(before) {
		d.log.Info("tenants", "in_force", s.Count(), "refused", s.Refused())
	}
}
