// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// exportsOf makes exports that do what a configuration says, and end with the test.
func exportsOf(t *testing.T, log *logBuffer, text string) *tenantExports {
	t.Helper()
	x := newTenantExports(otlpOptions(), newLogger(log))
	adopt(t, x, text)
	t.Cleanup(func() { endBy(x, 0) })
	return x
}

// adopt has exports take over another configuration.
func adopt(t *testing.T, x *tenantExports, text string) {
	t.Helper()
	p := x.prepare(parse(t, text).Tenants)
	if p.all != nil {
		t.Fatal(p.all)
	}
	p.carryOut(time.Minute)
}

// endBy shuts exports down within a time.
func endBy(x *tenantExports, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	x.Shutdown(ctx)
}

// tenancyTo sends all tenants to one endpoint, told apart by headers.
func tenancyTo(address, more string) string {
	return "tenancy: {export: {otlp: [{endpoint: \"" + address + "\", headers: {X-Scope-OrgID: \"${tenant}\", x-tenant: \"${tenant}\"}}]" + more + "}}\n"
}

const redAndBlue = "tenants: [{id: red, ports: [r]}, {id: blue, ports: [b]}]\n"

// views returns what a tenant sees: pings of its own, from the number first on.
func views(tenant string, first, n int) []*trace.Trace {
	all := make([]*trace.Trace, n)
	for i := range all {
		all[i] = tracetest.Owned(tracetest.Complete(uint16(first+i)), tenant)
	}
	return all
}

func spansOf(traces []*trace.Trace) int { return int(exporter.CountOf(traces...).Spans) }

func statsOf(t *testing.T, x *tenantExports, id string) exporter.Stats {
	t.Helper()
	for _, s := range x.stats() {
		if s.Tenant == id {
			return s.Stats
		}
	}
	t.Fatalf("there is no account of %s", id)
	return exporter.Stats{}
}

// What a tenant may see goes to its endpoints under its name and under no other, with no
// header of the operator's.
func TestEachTenantUnderItsName(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=operator")
	one, other := newTenantBackend(t), newTenantBackend(t)
	x := exportsOf(t, &logBuffer{}, tenancyTo(one.address, "")+`
tenants:
- {id: red, ports: [r]}
- {id: blue, ports: [b], export: {otlp: [{endpoint: "`+one.address+`", headers: {X-Scope-OrgID: blue-2}}, {endpoint: "`+other.address+`", headers: {X-Scope-OrgID: "${tenant}"}}]}}
- {id: green, ports: [g], export: {otlp: []}}
`)
	red, blue := views("red", 0, 20), views("blue", 0, 30) // the same traces but for whose they are
	for i := range 10 {
		x.Take("red", red[2*i:2*i+2])
		x.Take("blue", blue[3*i:3*i+3])
		x.Take("green", views("green", i, 1))
		x.Take("unknown", views("unknown", i, 1))
	}
	endBy(x, time.Minute)
	one.mustHave(t, "red", red)
	one.mustHave(t, "blue-2", blue)
	other.mustHave(t, "blue", blue)
	if len(one.spans) != 2 || len(other.spans) != 1 {
		t.Errorf("requests came in the name of %d and %d tenants, want 2 and 1", len(one.spans), len(other.spans))
	}
	for tenant, header := range one.headers {
		if got := header.Get("authorization"); got != nil {
			t.Errorf("%s sends the credentials of the operator: %q", tenant, got)
		}
	}
	if got := one.headers["red"].Get("x-tenant"); len(got) != 1 || got[0] != "red" {
		t.Errorf("red says x-tenant %q", got)
	}
	for _, span := range one.spans["red"] {
		for _, a := range span.Attributes {
			if a.Key == trace.AttrTenantID && a.Value.GetStringValue() != "red" {
				t.Errorf("red's span says that it is %s's", a.Value.GetStringValue())
			}
		}
	}
}

// Whatever is wrong with red's backend, blue's traces are there meanwhile, and what is lost
// is red's in every account. Red floods on top.
func TestOneTenantsTroubleIsItsOwn(t *testing.T) {
	t.Parallel()
	const queue = 400
	for name, trouble := range map[string]func(context.Context) error{"refuses": refuses, "hangs": hangs, "overloaded": overloaded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := newTenantBackend(t)
			backend.answer("red", trouble)
			log := &logBuffer{}
			x := exportsOf(t, log, tenancyTo(backend.address, fmt.Sprintf(", queue: {spans: %d, batch_spans: 100, delay: 5ms}", queue))+redAndBlue)
			var red, blue []*trace.Trace
			for i := range 40 {
				red, blue = append(red, views("red", 20*i, 20)...), append(blue, views("blue", i, 1)...)
				x.Take("red", red[len(red)-20:])
				x.Take("blue", blue[len(blue)-1:])
				backend.await(t, "blue", spansOf(blue)) // before anything of red's is over
			}
			if lost := statsOf(t, x, "red").Lost[exporter.CauseQueueFull]; name != "refuses" && lost.Spans < int64(spansOf(red)-queue-200) {
				t.Errorf("of red's %d spans %d found no room in a queue of %d", spansOf(red), lost.Spans, queue)
			}
			until(t, "blue knows that its traces came", func() bool { return statsOf(t, x, "blue").Sent == exporter.CountOf(blue...) })
			endBy(x, 50*time.Millisecond)
			backend.mustHave(t, "blue", blue)
			if got := statsOf(t, x, "blue"); got.Sent != exporter.CountOf(blue...) || got.TotalLost() != (exporter.Count{}) {
				t.Errorf("blue: %+v", got)
			}
			if got := statsOf(t, x, "red"); got.TotalLost() != exporter.CountOf(red...) || got.Queued != (exporter.Count{}) {
				t.Errorf("red lost %v of %v, %v are queued", got.TotalLost(), exporter.CountOf(red...), got.Queued)
			}
			if backend.has("red") > 0 {
				t.Error("the test is wrong: red's spans were accepted")
			}
			x.sumUp()
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "lost") && !strings.Contains(line, "tenant=red") && !strings.Contains(line, "tenant=blue") {
					t.Errorf("the log does not say who lost it: %s", line)
				}
			}
			says(t, log.String(), "the tenant's export has ended\" tenant=red spans_sent=0", "tenant=blue")
		})
	}
}

// Sampling is each tenant's own, and can be changed.
func TestSamplingOfEachTenant(t *testing.T) {
	backend := newTenantBackend(t)
	tenants := func(ratio string) string {
		return tenancyTo(backend.address, "") + "tenants: [{id: red, ports: [r], sampling: {ratio: " + ratio + "}}, {id: blue, ports: [b]}]\n"
	}
	x := exportsOf(t, &logBuffer{}, tenants("0"))
	red, blue := views("red", 0, 10), views("blue", 0, 10)
	x.Take("red", red[:5])
	x.Take("blue", blue[:5])
	adopt(t, x, tenants("1"))
	x.Take("red", red[5:])
	x.Take("blue", blue[5:])
	endBy(x, time.Minute)
	backend.mustHave(t, "red", red[5:])
	backend.mustHave(t, "blue", blue)
	if left := x.tenants["red"].sampler.SampledOut(); left.Traces != 5 {
		t.Errorf("%v of red's were left out, want 5 traces", left)
	}
}

// All tenants end at the same time: a hundred whose backend hangs take no longer than one.
func TestAllTenantsEndTogether(t *testing.T) {
	const many, limit = 100, 200 * time.Millisecond
	backend := newTenantBackend(t)
	var text strings.Builder
	text.WriteString(tenancyTo(backend.address, "") + "tenants:\n")
	for i := range many {
		id := fmt.Sprint("t", i)
		backend.answer(id, hangs)
		fmt.Fprintf(&text, "- {id: %s, ports: [p%d]}\n", id, i)
	}
	x := exportsOf(t, &logBuffer{}, text.String())
	before := x.total()
	for i := range many {
		id := fmt.Sprint("t", i)
		x.Take(id, views(id, 0, 1))
	}
	began := time.Now()
	endBy(x, limit)
	if took := time.Since(began); took > many*limit/4 {
		t.Errorf("it took %v, with a limit of %v for all", took, limit)
	}
	if lost := x.total().TotalLost().Traces; lost != many {
		t.Errorf("%d traces are counted as lost, want %d", lost, many)
	}
	err := x.lostSince(before, limit)
	if err == nil {
		t.Fatal("that traces were lost is not an error")
	}
	says(t, err.Error(), "100 traces", "tenancy.export.spool.dir")
}

// Every tenant is in the account from the beginning, before it has had a trace, and no longer
// than it is one.
func TestAccountOfEachTenant(t *testing.T) {
	backend := newTenantBackend(t)
	x := exportsOf(t, &logBuffer{}, tenancyTo(backend.address, "")+redAndBlue)
	ids := func(all []metrics.TenantExport) (ids string) {
		for _, s := range all {
			ids += s.Tenant + " "
		}
		return ids
	}
	if got := ids(x.stats()); got != "blue red " {
		t.Errorf("there are accounts of %q", got)
	}
	x.Take("red", views("red", 0, 1))
	adopt(t, x, tenancyTo(backend.address, "")+"tenants: [{id: blue, ports: [b]}]\n")
	backend.await(t, "red", spansOf(views("red", 0, 1))) // what was there is still sent
	until(t, "red's account ends", func() bool {
		adopt(t, x, tenancyTo(backend.address, "")+"tenants: [{id: blue, ports: [b]}]\n")
		return ids(x.stats()) == "blue "
	})
	if got := x.total().Sent.Traces; got != 1 {
		t.Errorf("%d traces are counted in all, want red's one", got)
	}
}
