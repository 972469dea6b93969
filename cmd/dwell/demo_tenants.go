// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/view"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// demoTenants is what dwell demo --tenants remembers. The first tenant is the one whose view
// is shown.
type demoTenants struct {
	set     *tenant.Set
	ids     []string
	viewers []view.Viewer
	// pings counts all, seen those of which each tenant sees something.
	pings int
	seen  []int
	// sample has complete pings of the first tenant to the second.
	sample []*trace.Trace
}

// newDemoTenants makes tenants of the lab's. Each owns a bridge; what hangs on it follows from
// that. The NIC is for all, although it leads into the outside's namespace.
func newDemoTenants(of []lab.Tenant) (*demoTenants, error) {
	var all []tenant.Tenant
	for _, t := range of {
		all = append(all, tenant.Tenant{ID: t.Role, Bridges: []string{t.Bridge}, Prefixes: []netip.Prefix{t.Network}})
	}
	set, err := tenant.NewSet(all, nil, []string{lab.Uplink})
	if err != nil {
		return nil, err
	}
	d := &demoTenants{set: set, seen: make([]int, len(of))}
	for _, t := range of {
		d.ids = append(d.ids, t.Role)
		d.viewers = append(d.viewers, view.Viewer{Tenant: t.Role, Number: set.Number(t.Role), Foreign: set.Foreign(t.Role), ForeignBridge: set.ForeignBridge(t.Role)})
	}
	return d, nil
}

// keep takes finished traces.
func (d *demoTenants) keep(traces []*trace.Trace) {
	for _, t := range traces {
		d.pings++
		for i := range d.viewers {
			if d.viewers[i].Of(t) != nil {
				d.seen[i]++
			}
		}
		if len(d.sample) < demoSample && t.Outcome == trace.Complete && slices.Equal(t.Tenants(), d.ids) {
			d.sample = append(d.sample, t)
		}
	}
}

// String returns "of these, red sees 200 and blue 200".
func (d *demoTenants) String() string {
	var each []string
	for i, id := range d.ids {
		each = append(each, fmt.Sprint(id, " sees ", d.seen[i]))
	}
	return "of these, " + strings.Join(each, ", ")
}

// write shows what the operator sees of a ping between the tenants, what the first tenant sees
// of it, and says what that one does not see.
func (d *demoTenants) write(w io.Writer, o waterfall.Options) error {
	if len(d.sample) == 0 {
		return nil
	}
	whole := median(d.sample)
	part := d.viewers[0].Of(whole)
	if part == nil {
		return fmt.Errorf("%s sees nothing of its own ping", d.ids[0])
	}
	err := waterfall.Beside(w,
		waterfall.View{Head: "WHAT THE OPERATOR SEES", Trace: whole},
		waterfall.View{Head: "WHAT " + strings.ToUpper(d.ids[0]) + " SEES", Trace: part}, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n", d.unseen(whole, part))
	return err
}

// unseen says in one line what the first tenant does not see.
func (d *demoTenants) unseen(whole, part *trace.Trace) string {
	known := places(part)
	var hidden []string
	for _, p := range places(whole) {
		if !slices.Contains(known, p) {
			hidden = append(hidden, p)
		}
	}
	line := fmt.Sprintf("%s does not see %d of the %d pings, because they are not its own", d.ids[0], d.pings-d.seen[0], d.pings)
	if len(hidden) > 0 {
		line += ", and of this one not what happens at " + strings.Join(hidden, ", ")
	}
	return line + "."
}

// places returns the names of the namespaces and devices in a trace, each once.
func places(t *trace.Trace) []string {
	var all []string
	add := func(name string) {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.NetNS != nil {
			add(s.NetNS.Name)
		}
		for _, d := range []*trace.Device{s.Device, s.Peer} {
			if d != nil {
				add(d.Name)
				add(d.Bridge)
			}
		}
	}
	return all
}
