// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

const (
	// demoFastPings is how often the first tenant pings without the fast path, and how often with it.
	// The first of these teach it.
	demoFastPings = 60
)

// demoFastPath is the fast path of the first tenant of dwell demo --tenants, in the lab's hypervisor,
// and what was seen of the tenant's pings without it and with it.
type demoFastPath struct {
	labFastPath
	// without and with are complete pings without the fast path, and by it in both directions.
	without, with []*trace.Trace
}

// compareFastPath pings without the fast path and with it. What it has to say of a host that cannot have
// one, it says, and returns nil.
func (d *demo) compareFastPath(ctx context.Context, l *lab.Lab) *demoFastPath {
	f := &demoFastPath{labFastPath: labFastPath{
		tenant: l.Topology().Tenants()[0].Role, nic: lab.Uplink, set: d.tenants.set, dir: filepath.Join("/run", d.prefix+"-demo-fastpath"),
	}}
	err := f.open(l, d.firewall)
	if err == nil {
		err = f.trace(ctx, d, l)
	}
	err = errors.Join(err, f.close())
	if err == nil && len(f.with) == 0 {
		err = errors.New("no ping took it")
	}
	if err != nil && ctx.Err() == nil {
		newLogger(d.err).Warn("the fast path is not shown: " + err.Error())
	}
	if err != nil || len(f.without) == 0 {
		return nil
	}
	return f
}

// open makes the manager of the fast path, which changes nothing yet.
func (f *demoFastPath) open(l *lab.Lab, of *demoFirewall) (err error) {
	if f.ns, err = l.Open(lab.Hypervisor); err != nil {
		return err
	}
	var o accelerator.Options
	if of != nil {
		o.Firewall, o.FirewallPin = of.manager, of.pin()
	}
	return f.labFastPath.open(o)
}

// trace traces the pings.
func (f *demoFastPath) trace(ctx context.Context, d *demo, l *lab.Lab) error {
	hypervisor := labInodes(l, lab.Hypervisor)
	a, err := agent.Start(agent.Options{
		Filter: bpf.Filter{NetNS: labInodes(l, l.Topology().Roles()...)}, Hypervisors: hypervisor, Tenants: f.set,
		FastPath: ruletrace.NewFastPath(f.manager), Count: 2 * demoFastPings, OnTrace: f.keep,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithTimeout(ctx, 2*labFastPathWait)
	defer stop()
	ended, pinged := make(chan error, 1), make(chan error, 1)
	go func() { ended <- f.manager.Run(running) }()
	go func() {
		err := f.ping(running, d, l)
		if err != nil {
			stop()
		}
		pinged <- err
	}()
	_, err = a.Run(running)
	stop()
	return errors.Join(<-pinged, err, <-ended)
}

// ping pings without the fast path, puts it in force, and pings again.
func (f *demoFastPath) ping(ctx context.Context, d *demo, l *lab.Lab) error {
	send := sending{lab.Ping{From: f.tenant, To: l.Topology().Target4}, demoFastPings}
	if err := d.pingFrom(ctx, l, send, nil); err != nil {
		return err
	}
	f.manager.SetTenants(f.set, map[string]flow.Mode{f.tenant: flow.On})
	if err := f.await(ctx); err != nil {
		return err
	}
	return d.pingFrom(ctx, l, send, nil)
}

// keep takes a finished trace.
func (f *demoFastPath) keep(t *trace.Trace) {
	leaves := 0
	for i := range t.Spans {
		if t.Spans[i].Kind == trace.KindFastPath {
			leaves++
		}
	}
	switch {
	case t.Outcome != trace.Complete || t.Tenant() != f.tenant:
	case leaves == 2:
		f.with = append(f.with, t)
	case leaves == 0 && len(f.without) < demoFastPings:
		f.without = append(f.without, t)
	}
}

// write shows a ping without the fast path and one by it, and what was saved.
func (f *demoFastPath) write(w io.Writer, o waterfall.Options) error {
	slow, fast := median(f.without), median(f.with)
	fmt.Fprintf(w, "\nTHE SAME PING WITHOUT THE FAST PATH AND BY IT\nThe medians of %d and of %d.\n\n", len(f.without), len(f.with))
	if err := waterfall.Beside(w,
		waterfall.View{Head: "WITHOUT THE FAST PATH", Trace: slow}, waterfall.View{Head: "BY THE FAST PATH", Trace: fast}, o); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := waterfall.Compare(w, waterfall.View{Head: "WITHOUT", Trace: slow}, waterfall.View{Head: "FAST", Trace: fast}, o); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", saved(slow, fast, o.ASCII))
	return err
}

// saved says what was passed over and how much shorter the round trip is.
func saved(slow, fast *trace.Trace, ascii bool) string {
	known := hops(fast)
	var over []string
	var sum int64
	for _, s := range hops(slow) {
		if !slices.ContainsFunc(known, func(k *trace.Span) bool { return k.Name() == s.Name() && k.Direction == s.Direction }) {
			over, sum = append(over, s.Name()), sum+s.Duration()
		}
	}
	before, _ := slow.RTT()
	after, _ := fast.RTT()
	line := fmt.Sprintf("The round trip takes %.0f %% of the time.", 100*float64(after)/float64(before))
	if len(over) > 0 {
		unit := map[bool]string{false: "µs", true: "us"}[ascii]
		line += fmt.Sprintf("\nPassed over: %s, which took %.3f %s.", strings.Join(over, ", "), float64(sum)/1e3, unit)
	}
	return line
}

// hops returns the spans below the journeys.
func hops(t *trace.Trace) (all []*trace.Span) {
	for i := range t.Spans {
		if s := &t.Spans[i]; s.Depth == 2 {
			all = append(all, s)
		}
	}
	return all
}
