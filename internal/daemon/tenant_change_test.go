// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// While traces come for three tenants, one is left as it is, one changed and one removed and
// added again, over and over. Nothing is lost, and without a spool nothing comes twice.
func TestTenantsChangeUnderLoad(t *testing.T) {
	t.Parallel()
	for _, spooled := range []bool{false, true} {
		t.Run(fmt.Sprintf("spool=%t", spooled), func(t *testing.T) {
			t.Parallel()
			more := ", queue: {delay: 2ms}"
			if spooled {
				more = spoolIn(filepath.Join(t.TempDir(), "tenants"))
			}
			backend := newTenantBackend(t)
			backend.again = spooled
			text := func(i int) string {
				red := fmt.Sprintf("{id: red, ports: [r], export: {otlp: [{endpoint: \"%s\", timeout: %ds, headers: {X-Scope-OrgID: red}}]}}", backend.address, 20+i)
				all := tenancyTo(backend.address, more) + "tenants: [{id: blue, ports: [b]}, " + red
				if i%2 == 0 {
					all += ", {id: green, ports: [g]}"
				}
				return all + "]\n"
			}
			x := exportsOf(t, &logBuffer{}, text(0))
			var over atomic.Bool
			var loading sync.WaitGroup
			taken := map[string][]*trace.Trace{}
			loading.Go(func() {
				for i := 0; !over.Load(); i++ {
					for _, id := range []string{"red", "blue", "green"} {
						v := views(id, i, 1)
						x.Take(id, v)
						taken[id] = append(taken[id], v...)
					}
					if i%10 == 0 {
						backend.await(t, "blue", spansOf(taken["blue"])-200)
						backend.await(t, "red", spansOf(taken["red"])-400) // whose spool must not be full
					}
				}
			})
			const changes = 30
			for i := range changes {
				adopt(t, x, text(i))
				before := backend.has("blue")
				until(t, "blue's traces come", func() bool { return backend.has("blue") > before })
			}
			over.Store(true)
			loading.Wait()
			if spooled { // at the end, what is in a spool stays there
				until(t, "the spools are empty", func() bool { return x.total().Queued == exporter.Count{} })
			}
			endBy(x, time.Minute)
			backend.mustHave(t, "blue", taken["blue"])
			backend.mustHave(t, "red", taken["red"])
			total := x.total()
			sent := backend.has("red") + backend.has("blue") + backend.has("green")
			if total.TotalLost() != (exporter.Count{}) || total.Sent.Spans != int64(sent) && !spooled || total.Queued != (exporter.Count{}) {
				t.Errorf("%d spans came; sent: %v, lost: %s, queued: %v", sent, total.Sent, total.LostString(), total.Queued)
			}
			if green := backend.has("green"); green == 0 || green >= spansOf(taken["green"]) {
				t.Errorf("%d of green's %d spans came, want some: it was a tenant half of the time", green, spansOf(taken["green"]))
			}
		})
	}
}

// What is wrong with one tenant's settings keeps nobody else from being sent anything.
func TestTenantWithABadFile(t *testing.T) {
	backend := newTenantBackend(t)
	x := exportsOf(t, &logBuffer{}, tenancyTo(backend.address, "")+redAndBlue)
	x.Take("red", views("red", 0, 1))
	p := x.prepare(parse(t, tenancyTo(backend.address, "")+`
tenants:
- {id: red, ports: [r], export: {otlp: [{endpoint: "`+backend.address+`", tls: {ca_file: /nowhere/ca.pem}}]}}
- {id: green, ports: [g]}
`).Tenants)
	if p.all == nil {
		t.Fatal("a file that is missing is not an error")
	}
	says(t, p.all.Error(), "tenant red: export.otlp[0].tls.ca_file", "/nowhere/ca.pem")
	p.carryOut(time.Minute)
	x.Take("red", views("red", 1, 1)) // goes where it went before
	x.Take("green", views("green", 0, 1))
	endBy(x, time.Minute)
	backend.mustHave(t, "red", views("red", 0, 2))
	backend.mustHave(t, "green", views("green", 0, 1))
}

// The whole way: what the agent traces is sent to the tenant, redacted, and counted; a
// reload takes the tenant away; at the end all is sent within shutdown.timeout.
func TestDaemonSendsTenantsTheirViews(t *testing.T) {
	operators, backend := filepath.Join(t.TempDir(), "all"), newTenantBackend(t)
	base := "export: {file: " + operators + "}\n" + tenancyTo(backend.address, ", queue: {delay: 5ms}")
	l := live(t, base+redAndBlue)
	one := tracetest.Owned(tracetest.Complete(1), "red")
	l.agent.opts.OnTraces([]*trace.Trace{one, tracetest.Owned(tracetest.Complete(2), "green"), tracetest.Complete(3)})
	until(t, "red's view comes", func() bool { return backend.has("red") > 0 })
	counted := `dwell_agent_tenant_export_spans_sent_total{dwell_tenant_id="red",host_name="name"} ` + fmt.Sprint(backend.has("red"))
	until(t, "they are counted", func() bool {
		_, body := l.get("/metrics")
		return strings.Contains(body, counted) &&
			strings.Contains(body, `dwell_agent_tenant_export_spans_lost_total{dwell_tenant_id="blue",host_name="name"} 0`)
	})
	says(t, l.reload(base+"tenants: [{id: blue, ports: [b]}]\n"), "configuration reloaded", "tenants")
	seen := backend.has("red")
	l.agent.opts.OnTraces([]*trace.Trace{tracetest.Owned(tracetest.Complete(4), "red"), tracetest.Owned(tracetest.Complete(5), "blue")})
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	if backend.has("red") != seen || backend.has("blue") == 0 || len(backend.spans) != 2 {
		t.Errorf("red: %d spans before it was removed, %d in all; blue: %d", seen, backend.has("red"), backend.has("blue"))
	}
	says(t, l.log.String(), "the tenant's export has ended\" tenant=blue")
}

// At the end what tenants lose is an error, and the tenants end in time.
func TestDaemonTellsWhatTenantsLose(t *testing.T) {
	backend := newTenantBackend(t)
	backend.answer("red", hangs)
	l := live(t, "shutdown: {timeout: 200ms}\n"+tenancyTo(backend.address, "")+redAndBlue)
	l.agent.opts.OnTraces([]*trace.Trace{tracetest.Owned(tracetest.Complete(1), "red")})
	err := l.stop()
	if err == nil {
		t.Fatal("no error")
	}
	says(t, err.Error(), "1 trace", "of tenants were lost on shutdown", "tenancy.export.spool.dir")
	if strings.Contains(err.Error(), "giving up") {
		t.Error(err)
	}
}
