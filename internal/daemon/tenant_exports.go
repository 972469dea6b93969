// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/exporter/tenants"
	"github.com/dwelltrace/dwell/internal/config"
)

// openAtOnce is how many tenants' exporters are opened at a time. With a spool, that reads
// and writes files.
const openAtOnce = 8

// tenantExports sends to each tenant what it may see. No tenant waits for another one, and
// none takes another one's room; they share only connections.
type tenantExports struct {
	resource    otlp.Options
	log         *slog.Logger
	newExporter opener
	pool        otlpgrpc.Pool
	// limit is how long exporters that are left may send, in nanoseconds.
	limit   atomic.Int64
	opening chan struct{}
	// changes are the goroutines that make them.
	changes sync.WaitGroup
	// credentials and orphans, the directories of nobody that were told, are the main
	// loop's.
	credentials credentials
	orphans     string

	mu      sync.RWMutex
	tenants map[string]*tenantExport
	// gone is the account of those that were removed.
	gone     exporter.Stats
	ended    bool
	spooling bool
}

var _ tenants.Sink = (*tenantExports)(nil)

func newTenantExports(resource otlp.Options, log *slog.Logger) *tenantExports {
	return &tenantExports{
		resource: resource, log: log, newExporter: openOTLP, opening: make(chan struct{}, openAtOnce),
		tenants: map[string]*tenantExport{},
	}
}

// Take implements [tenants.Sink].
func (x *tenantExports) Take(tenant string, views []*trace.Trace) {
	x.mu.RLock()
	t := x.tenants[tenant]
	x.mu.RUnlock()
	if t != nil {
		t.export(views)
	}
}

// exportsPlan is a change of all tenants' exports that is ready to be made.
type exportsPlan struct {
	exports     *tenantExports
	wishes      map[string]*tenantWish
	credentials credentials
	// orphans are directories of spools that belong to no tenant.
	orphans []string
	// bad are tenants whose settings name something that is not good, and all is what is
	// wrong. Their exports stay as they are.
	bad map[string]bool
	all error
}

// prepare reads what the settings of all tenants name. Nothing has changed yet.
func (x *tenantExports) prepare(list []config.Tenant) *exportsPlan {
	p := &exportsPlan{exports: x, wishes: map[string]*tenantWish{}, bad: map[string]bool{}, credentials: maps.Clone(x.credentials)}
	if p.credentials == nil {
		p.credentials = credentials{}
	}
	var errs []error
	var spools []string
	for i := range list {
		t := &list[i]
		w, err := newTenantWish(t, p.credentials)
		switch {
		case err != nil:
			p.bad[t.ID] = true
			errs = append(errs, err)
		case w != nil:
			p.wishes[t.ID] = w
		}
		if dir := t.Export.Spool.Dir; dir != "" && !slices.Contains(spools, dir) {
			spools = append(spools, dir)
		}
	}
	p.findOrphans(spools)
	p.all = errors.Join(errs...)
	return p
}

// carryOut makes the change, most of it in the background. Exporters that are left may send
// their rest for as long as limit.
func (p *exportsPlan) carryOut(limit time.Duration) {
	x := p.exports
	x.limit.Store(int64(limit))
	x.credentials = p.used()
	x.tellOrphans(p.orphans)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	x.spooling = false
	for id, t := range x.tenants {
		if p.wishes[id] == nil && !p.bad[id] {
			t.wish(nil, false)
		}
		if t.over() {
			x.gone = x.gone.Plus(t.to.Stats())
			delete(x.tenants, id)
		}
	}
	for id, w := range p.wishes {
		t := x.tenants[id]
		if t == nil {
			t = newTenantExport(id, x)
			x.tenants[id] = t
		}
		x.spooling = x.spooling || w.spoolBytes > 0
		t.wish(w, w.left)
	}
}

// used returns the credentials that some endpoint has; all of them while some export stays
// as it is.
func (p *exportsPlan) used() credentials {
	if len(p.bad) > 0 {
		return p.credentials
	}
	used := credentials{}
	for _, w := range p.wishes {
		for i := range w.endpoints {
			if w.tls[i] != nil {
				used[w.endpoints[i].tls] = w.tls[i]
			}
		}
	}
	return used
}

// findOrphans looks for directories of no tenant.
func (p *exportsPlan) findOrphans(spools []string) {
	for _, dir := range spools {
		entries, _ := os.ReadDir(dir) // it may not exist yet
		for _, e := range entries {
			if e.IsDir() && p.wishes[e.Name()] == nil && !p.bad[e.Name()] {
				p.orphans = append(p.orphans, filepath.Join(dir, e.Name()))
			}
		}
	}
}

// tellOrphans logs which spools belong to no tenant, if that has changed: they are kept,
// because the tenant may come back.
func (x *tenantExports) tellOrphans(orphans []string) {
	told := strings.Join(orphans, ", ")
	if told != "" && told != x.orphans {
		x.log.Warn("there are spools of tenants that are not configured or have no endpoint; they are sent if the tenant comes back, "+
			"so delete them if it does not", "spools", told)
	}
	x.orphans = told
}

// Shutdown sends what all tenants have left, all at the same time, until ctx is done.
func (x *tenantExports) Shutdown(ctx context.Context) {
	x.mu.Lock()
	first := !x.ended
	x.ended = true
	all := slices.Collect(maps.Values(x.tenants))
	x.mu.Unlock()
	if !first {
		return
	}
	for _, t := range all {
		t.close()
	}
	waitFor(ctx, x.changes.Wait) // each has little left to do, unless a disk does not answer
	var each sync.WaitGroup
	for _, t := range all {
		each.Go(func() { t.shutdown(ctx) })
	}
	each.Wait()
}

// waitFor calls wait and returns when that does, or when ctx is done.
func waitFor(ctx context.Context, wait func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		wait()
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
}
