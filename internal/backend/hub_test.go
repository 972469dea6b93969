// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func tenantIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("tenant-%04d", i)
	}
	return ids
}

// A thousand tenants have each their own, and no more memory together than there is for all.
func TestThousandTenants(t *testing.T) {
	const total = 4 << 20
	hub := backend.NewHub(backend.HubOptions{TotalTraceBytes: total, TotalPings: 20_000})
	ids := tenantIDs(1000)
	hub.SetTenants(ids)
	s := start(t, backend.ServerOptions{Hub: hub})
	c := s.client(t)
	for i, id := range ids {
		for range 1 + i%7 {
			hub.Take(id, some(4))
		}
	}
	all, err := c.Tenants(t.Context())
	if err != nil || len(all.Tenants) != len(ids) {
		t.Fatalf("%d tenants, %v", len(all.Tenants), err)
	}
	for i, tenant := range all.Tenants {
		if want := uint64(4 * (1 + i%7)); tenant.ID != ids[i] || tenant.Pings != want {
			t.Errorf("%+v, want %d pings of %s", tenant, want, ids[i])
		}
	}
	for range 200 { // one of them floods
		hub.Take(ids[0], some(400))
	}
	if got := hub.TraceBytes(); got > total+len(ids)*backend.SizeOf(tracetest.Complete(1)) {
		t.Errorf("traces of %d bytes are kept", got)
	}
	for _, id := range []string{ids[0], ids[1]} {
		pings, err := c.Pings(t.Context(), id, 1000)
		if err != nil || len(pings.Pings) == 0 || len(pings.Pings) > 20 {
			t.Errorf("%s: %d pings are kept, %v", id, len(pings.Pings), err)
		}
	}
	if p, err := c.Pings(t.Context(), ids[6], 1000); err != nil || len(p.Pings) != 20 {
		t.Errorf("beside a flood %d pings are kept, %v", len(p.Pings), err)
	}
}

// A tenant that is removed is forgotten, and nothing comes back with its name.
func TestRemovedTenant(t *testing.T) {
	s := start(t, backend.ServerOptions{})
	c := s.client(t)
	s.hub.Take("red", some(4))
	s.hub.SetTenants([]string{"blue"})
	s.hub.Take("red", some(4)) // on its way when it was removed
	if _, err := c.Summary(t.Context(), "red"); client.Code(err) != api.CodeUnknownTenant {
		t.Errorf("%v", err)
	}
	s.hub.SetTenants([]string{"red", "blue"})
	if sum, err := c.Summary(t.Context(), "red"); err != nil || sum.Pings.Total != 0 || sum.Since != nil {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A trace that is larger than all that is kept is the only one; one without spans is not
// counted.
func TestOddTraces(t *testing.T) {
	hub := backend.NewHub(backend.HubOptions{TraceBytes: 1})
	hub.SetTenants([]string{"red"})
	s := start(t, backend.ServerOptions{Hub: hub})
	c := s.client(t)
	list := some(3)
	hub.Take("red", list)
	hub.Take("red", []*trace.Trace{{}})
	for i, tr := range list {
		if _, err := c.Trace(t.Context(), "red", tr.ID.String()); (err == nil) != (i == 2) {
			t.Errorf("trace %d: %v", i, err)
		}
	}
	if sum, err := c.Summary(t.Context(), "red"); err != nil || sum.Pings.Total != 3 {
		t.Errorf("%+v, %v", sum.Pings, err)
	}
}

// named returns a ping through a device of that name, at a time.
func named(name string, at int64) *trace.Trace {
	ns := &trace.NetNS{Name: "ns"}
	d := &trace.Device{NetNS: ns, Name: name}
	t := &trace.Trace{Outcome: trace.Incomplete, Cause: trace.CauseNoReply}
	root := t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: ns, Start: at, End: at + 1000})
	request := t.Add(root, trace.Span{Kind: trace.KindRequest, NetNS: ns, Start: at, End: at + 1000})
	t.Add(request, trace.Span{Kind: trace.KindTransmit, NetNS: ns, Device: d, Start: at, End: at + 1000, Leaf: true})
	return t
}

// There are only so many rows for devices. What comes after is in the row for the rest, until
// others are no longer used; no measurement is lost.
func TestRowsAreBounded(t *testing.T) {
	hub := backend.NewHub(backend.HubOptions{Devices: 8})
	hub.SetTenants([]string{"red"})
	s := start(t, backend.ServerOptions{Hub: hub})
	c := s.client(t)
	total := uint64(0)
	take := func(name string, minute int64) api.Summary {
		hub.Take("red", []*trace.Trace{named(name, minute*60e9)})
		total++
		sum, err := c.Summary(t.Context(), "red")
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(0)
		for _, d := range sum.Devices {
			n += d.Count
		}
		if n != total || len(sum.Devices) > 9 {
			t.Fatalf("%d measurements in %d rows, want %d", n, len(sum.Devices), total)
		}
		return sum
	}
	for i := range 8 {
		take(fmt.Sprintf("veth%d", i), 1)
	}
	for range 100 { // the same devices again
		take("veth3", 2)
	}
	sum := take("veth8", 3)
	if last := sum.Devices[len(sum.Devices)-1]; sum.Truncated != 1 || !last.Overflow || last.Count != 1 || last.Device != "" {
		t.Errorf("the ninth device is in %+v, truncated %d", last, sum.Truncated)
	}
	sum = take("veth9", 20) // the others have been idle for long
	names := map[string]bool{}
	for _, d := range sum.Devices {
		names[d.Device] = true
	}
	if !names["veth9"] || names["veth0"] || sum.Truncated != 109 {
		t.Errorf("after a pause there are %v, truncated %d", names, sum.Truncated)
	}
}

// Causes and reasons come from traces; there are only so many rows for them.
func TestReasonsAreBounded(t *testing.T) {
	s := start(t, backend.ServerOptions{})
	for i := range 1000 {
		tr := tracetest.Dropped(uint16(i))
		tr.DropReason = fmt.Sprint("REASON_", i)
		s.hub.Take("red", []*trace.Trace{tr})
	}
	sum, err := s.client(t).Summary(t.Context(), "red")
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	for _, count := range sum.Pings.Drops {
		n += count
	}
	if n != 1000 || len(sum.Pings.Drops) > 65 || sum.Pings.Drops[api.OtherReason] == 0 {
		t.Errorf("%d drops in %d rows, %d others", n, len(sum.Pings.Drops), sum.Pings.Drops[api.OtherReason])
	}
}

// heap returns the bytes in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkTake measures what a trace costs in the agent's loop, with so many readers.
func BenchmarkTake(b *testing.B) {
	for _, readers := range []int{0, 1, 4} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			hub := backend.NewHub(backend.HubOptions{})
			hub.SetTenants([]string{"red"})
			for range readers {
				defer hub.Discard("red")()
			}
			batch := some(100)
			b.ReportAllocs()
			for b.Loop() {
				hub.Take("red", batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/trace")
			b.ReportMetric(float64(len(batch[0].Spans)), "spans/trace")
		})
	}
}

// BenchmarkTenants measures a trace of each of n tenants in turn, and the memory of one.
func BenchmarkTenants(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ids, batch := tenantIDs(n), some(1)
			before := heap()
			hub := backend.NewHub(backend.HubOptions{})
			hub.SetTenants(ids)
			idle := heap()
			for _, id := range ids {
				for range 64 {
					hub.Take(id, some(1))
				}
			}
			active := heap()
			i := 0
			for b.Loop() {
				hub.Take(ids[i%n], batch)
				i++
			}
			b.ReportMetric(float64(idle-before)/float64(n), "B/idle-tenant")
			b.ReportMetric(float64(active-idle)/float64(n), "B/active-tenant")
			runtime.KeepAlive(hub)
		})
	}
}
