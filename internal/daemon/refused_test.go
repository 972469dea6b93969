// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/agent/agenttest"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// patience is how long a test waits for what mostly takes a second.
const patience = 3 * time.Minute

// traceWith runs a daemon on a kernel side until the test ends.
func traceWith(t *testing.T, kernel *agenttest.Refusing, config string) (*daemon, *logBuffer) {
	t.Helper()
	privilegetest.BPF(t)
	log := &logBuffer{}
	loaded := parse(t, config)
	d, err := newDaemon(Options{Stderr: log}, loaded)
	if err != nil {
		t.Fatal(err)
	}
	d.startAgent = func(o agent.Options) (tracing, error) {
		o.Kernel = kernel.Wrap
		return agent.Start(o)
	}
	ctx, end := context.WithCancel(t.Context())
	if err := d.start(ctx, loaded); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.trace(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.close()
	})
	return d, log
}

// until waits for what can be observed.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after %v", what, patience)
		}
	}
}

// refused returns what the metric of refusals says.
func (d *daemon) refused(t *testing.T, operation string) float64 {
	t.Helper()
	families, err := d.telemetry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if f.GetName() == "dwell_agent_scope_refused" && l.GetName() == "operation" && l.GetValue() == operation {
					return m.GetGauge().GetValue()
				}
			}
		}
	}
	t.Fatalf("no series for %s", operation)
	return 0
}

// What the kernel refuses is one line in the log, however often it is tried again, and
// a metric for as long as it lasts.
func TestRefusedScopeIsLoggedAndShown(t *testing.T) {
	name := fmt.Sprintf("dwd%d-refused", os.Getpid())
	kernel := &agenttest.Refusing{}
	d, log := traceWith(t, kernel, "http: {listen: \"\"}\ntrace: {netns: ["+name+"], netfilter: [none]}\n")
	if n := d.refused(t, metrics.OperationScope); n != 0 {
		t.Errorf("%v refusals before any", n)
	}
	kernel.Refuse(errors.New("no room for it"), errors.New("still held"))
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	for _, operation := range []string{metrics.OperationScope, metrics.OperationRelease} {
		until(t, operation+" is refused", func() bool { return d.refused(t, operation) == 1 })
	}
	until(t, "tried again", func() bool { return kernel.FiltersRefused() > 2 && kernel.ReleasesRefused() > 2 })
	const refused = `level=WARN msg="the kernel refuses a change to what is traced; trying again" error="no room for it\nstill held"`
	const over = `level=INFO msg="the kernel no longer refuses changes to what is traced"`
	if got := log.String(); strings.Count(got, refused) != 1 || strings.Contains(got, over) {
		t.Errorf("want one line\n%s\nin\n%s", refused, got)
	}
	kernel.Refuse(nil, nil)
	until(t, "over", func() bool { return strings.Count(log.String(), over) == 1 })
	if scope, release := d.refused(t, metrics.OperationScope), d.refused(t, metrics.OperationRelease); scope+release != 0 {
		t.Errorf("refusals when it is over: scope %v, release %v", scope, release)
	}
	if s := d.agentStatus(); s.NetNS != 1 {
		t.Errorf("%d namespaces are traced, want 1", s.NetNS)
	}
}
