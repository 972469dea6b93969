// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/exporter"
)

// moment is long enough for what is in memory to get to the disk.
const moment = 4 * time.Second

func spoolIn(dir string) string {
	return ", queue: {delay: 5ms}, spool: {dir: " + dir + ", max_bytes: 1MiB}"
}

// What a tenant's backend did not take is sent after the next start, once, before there is
// anything new, and in the name of the tenant.
func TestSpoolOfEachTenantOutlivesTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tenants")
	backend := newTenantBackend(t)
	backend.answer("red", overloaded)
	text := tenancyTo(backend.address, spoolIn(dir)) + redAndBlue
	x := exportsOf(t, &logBuffer{}, text)
	red, blue := views("red", 0, 30), views("blue", 0, 30)
	x.Take("red", red)
	x.Take("blue", blue)
	backend.await(t, "blue", spansOf(blue))
	endBy(x, moment)
	if got := statsOf(t, x, "red"); got.TotalLost() != (exporter.Count{}) {
		t.Errorf("red lost %v", got.LostString())
	}
	if err := x.lostSince(exporter.Stats{}, moment); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"red", "blue"} {
		entries, err := os.ReadDir(filepath.Join(dir, id))
		if err != nil || len(entries) != 1 || !strings.HasPrefix(entries[0].Name(), "127.0.0.1_") {
			t.Errorf("below %s: %v, %v; want one directory for the endpoint", id, entries, err)
		}
	}

	backend.answer("red", nil)
	again := exportsOf(t, &logBuffer{}, text)
	backend.await(t, "red", spansOf(red))
	endBy(again, time.Minute)
	backend.mustHave(t, "red", red)
	backend.mustHave(t, "blue", blue)
	if got := statsOf(t, again, "red"); got.Sent != exporter.CountOf(red...) || got.Recovered != exporter.CountOf(red...) {
		t.Errorf("after the start red has sent %v, of which %v were there before; want %v", got.Sent, got.Recovered, exporter.CountOf(red...))
	}
}

// A removed tenant's spool is kept, and told: at the removal, and at each start. What is in
// it is sent when the tenant comes back.
func TestSpoolOfARemovedTenant(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tenants")
	backend := newTenantBackend(t)
	backend.again = true // the exporter is cut short, and a request of it may still be on its way
	backend.answer("red", overloaded)
	base := tenancyTo(backend.address, spoolIn(dir))
	const blue = "tenants: [{id: blue, ports: [b]}]\n"
	log := &logBuffer{}
	x := exportsOf(t, log, base+redAndBlue)
	red := views("red", 0, 10)
	x.Take("red", red)
	until(t, "red's traces are on disk", func() bool { return statsOf(t, x, "red").Spooled.Traces > 0 })
	p := x.prepare(parse(t, base+blue).Tenants)
	p.carryOut(time.Millisecond)
	until(t, "the spool is told", func() bool { return strings.Contains(log.String(), "unsent traces stay in the spool") })
	says(t, log.String(), "tenant=red")
	endBy(x, moment)

	later := exportsOf(t, log, base+blue)
	says(t, log.String(), "level=WARN", "spools of tenants that are not configured", filepath.Join(dir, "red"))
	log.take()
	adopt(t, later, base+blue)
	if strings.Contains(log.String(), "not configured") {
		t.Errorf("it is told again:\n%s", log)
	}
	backend.answer("red", nil)
	adopt(t, later, base+redAndBlue)
	backend.await(t, "red", spansOf(red))
	endBy(later, time.Minute)
	backend.mustHave(t, "red", red)
}

// A tenant that is removed and comes back before its exporter has ended gets its spool
// again, and nothing is lost.
func TestTenantComesBackAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tenants")
	backend := newTenantBackend(t)
	backend.again = true // an exporter is cut short
	backend.answer("red", hangs)
	base := tenancyTo(backend.address, spoolIn(dir))
	x := exportsOf(t, &logBuffer{}, base+redAndBlue)
	red := views("red", 0, 30)
	for i := range 3 {
		x.Take("red", red[10*i:10*i+10])
		adopt(t, x, base+"tenants: [{id: blue, ports: [b]}]\n")
		adopt(t, x, base+redAndBlue)
	}
	backend.answer("red", nil)
	until(t, "red's traces are sent", func() bool { return backend.has("red") >= spansOf(red) })
	endBy(x, time.Minute)
	backend.mustHave(t, "red", red)
	if lost := x.total().TotalLost(); lost != (exporter.Count{}) {
		t.Errorf("%v are lost", lost)
	}
}

// Red's spool gets full; what is lost is red's, and its alone.
func TestFullSpoolIsTheTenants(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tenants")
	backend := newTenantBackend(t)
	backend.answer("red", overloaded)
	backend.answer("blue", overloaded)
	x := exportsOf(t, &logBuffer{}, tenancyTo(backend.address, spoolIn(dir))+redAndBlue)
	blue := views("blue", 0, 5)
	x.Take("blue", blue)
	until(t, "red's spool is full", func() bool {
		x.Take("red", views("red", 0, 20))
		return statsOf(t, x, "red").Lost[exporter.CauseSpoolFull].Spans > 0
	})
	backend.answer("blue", nil)
	backend.await(t, "blue", spansOf(blue))
	endBy(x, moment)
	backend.mustHave(t, "blue", blue)
	if got := statsOf(t, x, "blue"); got.TotalLost() != (exporter.Count{}) {
		t.Errorf("blue lost %v", got.LostString())
	}
}

// A spool that cannot be used is used when it can be, and what comes until then is sent.
func TestTenantWithoutItsSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tenants")
	backend := newTenantBackend(t)
	text := tenancyTo(backend.address, spoolIn(dir)) + redAndBlue
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "red"), nil, 0o600); err != nil { // a file is in the way
		t.Fatal(err)
	}
	log := &logBuffer{}
	x := exportsOf(t, log, text)
	red := views("red", 0, 20)
	x.Take("red", red[:1])
	backend.await(t, "red", spansOf(red[:1]))
	says(t, log.String(), "level=WARN", "tenant=red", "the spool cannot be used")
	if failing := statsOf(t, x, "red").SpoolsFailing; failing != 1 || statsOf(t, x, "blue").SpoolsFailing != 0 {
		t.Errorf("%d spools of red are failing", failing)
	}
	backend.answer("red", overloaded)
	x.Take("red", red[1:10])
	if err := os.Remove(filepath.Join(dir, "red")); err != nil {
		t.Fatal(err)
	}
	until(t, "the spool is there", func() bool { return statsOf(t, x, "red").SpoolsFailing == 0 })
	x.Take("red", red[10:])
	until(t, "red's traces are on disk", func() bool { return statsOf(t, x, "red").Spooled.Traces >= 10 })
	backend.answer("red", nil)
	backend.await(t, "red", spansOf(red))
	endBy(x, time.Minute)
	backend.mustHave(t, "red", red)
	if got := statsOf(t, x, "red"); got.SpoolsFailing != 0 || got.TotalLost() != (exporter.Count{}) {
		t.Errorf("%+v", got)
	}
}
