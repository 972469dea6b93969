// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/exporter/sampling"
)

// tenantExport sends what one tenant may see to the tenant's endpoints. Its queue, spool and
// sampling are its own. It has no exporters before there is something to send; from then on,
// one goroutine at a time brings them to what is wished.
type tenantExport struct {
	id    string
	all   *tenantExports
	log   *slog.Logger
	since time.Time

	sampler *sampling.Exporter // in front of to
	to      swappable

	mu sync.Mutex
	// want is what is wished, nil for no export. is is what the exporters are made of, nil
	// while there are none.
	want, is *tenantWish
	// held takes traces until there are exporters, which are to be as heldFor.
	held    *handOverBuffer
	heldFor *tenantWish
	// awake is set when there has been something to send, and changing while a goroutine
	// brings is to want.
	awake, changing, closed bool
}

func newTenantExport(id string, all *tenantExports) *tenantExport {
	t := &tenantExport{id: id, all: all, log: all.log.With("tenant", id), since: time.Now()}
	t.to.log = t.log
	t.sampler, _ = sampling.New(sampling.Options{Ratio: 1}, &t.to) // that ratio is good
	return t
}

// wish says what the export is to be from now on. wake makes it begin even if there is
// nothing to send.
func (t *tenantExport) wish(w *tenantWish, wake bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w != nil {
		_ = t.sampler.Set(w.sampling) // it was checked
		t.awake = t.awake || wake
	}
	if w.sameExporters(t.want) {
		return
	}
	t.want = w
	t.change()
}

// export takes traces and waits for nothing: what becomes of them is in the account.
func (t *tenantExport) export(views []*trace.Trace) {
	t.mu.Lock()
	if t.want == nil || t.closed {
		t.mu.Unlock()
		return
	}
	if !t.awake {
		t.awake = true
		t.change()
	}
	t.mu.Unlock()
	_ = t.sampler.Export(context.Background(), views) // whoever loses something counts and logs it
}

// change sees to it that the exporters become what is wished. t.mu is held.
func (t *tenantExport) change() {
	if !t.awake || t.closed || t.is == t.want {
		return
	}
	if t.want != nil && !t.to.open() {
		t.held, t.heldFor = &handOverBuffer{limit: int64(t.want.queue.Spans)}, t.want
		t.to.swap(t.held)
	}
	if !t.changing {
		t.changing = true
		t.all.changes.Go(t.work)
	}
}

// work makes changes until there is nothing to change.
func (t *tenantExport) work() {
	for {
		t.mu.Lock()
		is, want, held := t.is, t.want, t.held
		if held == nil && (is == want || t.closed) {
			t.changing = false
			t.mu.Unlock()
			return
		}
		if want == nil && held != nil { // what is held is not to be lost because the tenant is removed
			want = t.heldFor
		}
		t.held, t.heldFor = nil, nil
		var before exporter.Exporter
		if want == nil {
			before = t.to.swap(nil)
		}
		t.is = want
		t.mu.Unlock()
		if want == nil {
			t.leave(before, t.limit())
			continue
		}
		t.exchange(is, want, held)
	}
}

// leave lets an exporter send its rest in the background, for so long at most.
func (t *tenantExport) leave(before exporter.Exporter, limit time.Duration) {
	ctx, stop := context.WithTimeout(context.Background(), limit)
	t.to.retireLater(ctx, stop, before)
}

// limit is how long an exporter that is left may send.
func (t *tenantExport) limit() time.Duration { return time.Duration(t.all.limit.Load()) }

// exchange puts new exporters in the place of those that are there, or of held.
func (t *tenantExport) exchange(is, want *tenantWish, held *handOverBuffer) {
	next := t.open(want)
	if want.spoolBytes > 0 { // it may be one that is still being left
		t.to.hurryAfter(spoolGrace)
	}
	if held != nil {
		t.to.resume(held, next)
		return
	}
	limit := t.limit()
	if is.sharesSpool(want) {
		limit = min(limit, spoolGrace)
	}
	t.leave(t.to.swap(next), limit)
}

// open makes the exporters.
func (t *tenantExport) open(w *tenantWish) exporter.Exporter {
	t.all.opening <- struct{}{} // so many disks at a time
	defer func() { <-t.all.opening }()
	out := &fanOut{}
	for i := range w.endpoints {
		e, err := t.all.newExporter(w.endpoints[i].otlp.Protocol, t.options(w, i))
		if err != nil {
			t.log.Error("not sending to an endpoint", "error", err)
			continue
		}
		out.Multi = append(out.Multi, e)
	}
	return out
}

func (t *tenantExport) options(w *tenantWish, i int) otlpgrpc.Options {
	e := &w.endpoints[i]
	o := otlpgrpc.Options{
		Endpoint: e.to, Source: "export.otlp.endpoint", Pool: &t.all.pool,
		Headers: headers(e.otlp), RenewHeaders: func() (map[string]string, error) { return renewedHeaders(e.otlp) }, TLS: w.tls[i],
		Compression: compressionOf(e.otlp.Compression), OTLP: drawn(t.all.resource), Queue: queue(w.queue, 0),
		Timeout: time.Duration(e.otlp.Timeout), Logger: t.log,
	}
	if e.spool != "" {
		o.Spool = exporter.Spool{Dir: e.spool, MaxBytes: w.spoolBytes / int64(len(w.endpoints))}
	}
	return o
}

// shutdown sends what is left until ctx is done. No change is under way any more.
func (t *tenantExport) shutdown(ctx context.Context) {
	_ = t.to.Shutdown(ctx) // what is lost is logged and counted
}

// close keeps anything from being changed or exported from now on.
func (t *tenantExport) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// over reports whether the tenant was removed and all it left is sent or given up.
func (t *tenantExport) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.want == nil && t.is == nil && !t.changing && !t.to.busy()
}

// fanOut is a Multi that can be compared.
type fanOut struct{ exporter.Multi }
