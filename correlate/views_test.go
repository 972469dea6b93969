// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/view"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// parted is the simulated host, of which everything belongs to somebody: each namespace that is
// not the hypervisor to red, blue or nobody, and each device in the hypervisor as well, or it is
// not known to whom. What belongs to whom is in the names.
type parted struct {
	names
	t       *rapid.T
	spaces  map[uint32]*trace.NetNS
	devices map[trace.Place]*trace.Device
}

func (p *parted) NetNS(inode uint32) *trace.NetNS {
	if ns := p.spaces[inode]; ns != nil {
		return ns
	}
	ns := p.names.NetNS(inode)
	if ns.Shared = ns.Hypervisor; !ns.Shared {
		ns.Tenant = rapid.SampledFrom([]string{"red", "blue", ""}).Draw(p.t, ns.Name)
		ns.Name = fmt.Sprintf("ns%s%d", ns.Tenant, inode)
	}
	p.spaces[inode] = ns
	return ns
}

func (p *parted) Device(netns, index uint32) *trace.Device {
	at := trace.Place{NetNS: netns, Index: index}
	if d := p.devices[at]; d != nil {
		return d
	}
	d := p.names.Device(netns, index)
	d.NetNS, d.Bridge = p.NetNS(netns), ""
	if d.Tenant = d.NetNS.Tenant; d.NetNS.Shared {
		d.Tenant = rapid.SampledFrom([]string{"red", "blue", "", "unsure"}).Draw(p.t, d.Name)
		if d.Unattributed = d.Tenant == "unsure"; d.Unattributed {
			d.Tenant = ""
		}
	}
	d.Name = fmt.Sprintf("dev%s%dx%dx", d.Tenant, netns, index)
	p.devices[at] = d
	return d
}

// theirs reports whether a tenant must not see a device.
func theirs(id string, d *trace.Device) bool {
	return d != nil && (d.Unattributed || d.Tenant != id && (d.Tenant != "" || !d.NetNS.Shared))
}

// hiddenTimes returns those at which packets were where a tenant must not look.
func hiddenTimes(id string, t *trace.Trace) map[int64]bool {
	hidden, known := map[int64]bool{}, map[int64]bool{}
	for i := range t.Spans {
		s := &t.Spans[i]
		if !s.Leaf {
			continue
		}
		if up := &t.Spans[s.Parent]; s.Kind.Finer() && up.Kind != trace.KindDevice && up.Kind != trace.KindHypervisor && !up.Kind.Journey() {
			s = up
		}
		set := known
		if !s.NetNS.Shared && s.NetNS.Tenant != id || s.NetNS.Shared && s.Device != nil && theirs(id, s.Device) && (s.Peer == nil || theirs(id, s.Peer)) {
			set = hidden
		}
		for _, at := range []int64{t.Spans[i].Start, t.Spans[i].End} {
			set[at] = true
		}
	}
	for at := range known {
		delete(hidden, at)
	}
	return hidden
}

// Whatever happens to a packet, and whomever the places belong to that it passes: each tenant's
// view is a trace, with nothing in it of what is others'.
func TestViewsOfEverythingThatHappens(t *testing.T) {
	all := slices.Concat(golden, roads, copies, guests, judgings, fastPaths)
	rapid.Check(t, func(t *rapid.T) {
		g := all[rapid.IntRange(0, len(all)-1).Draw(t, "what happens")]
		s := newSim()
		g.what(s)
		p := &parted{t: t, spaces: map[uint32]*trace.NetNS{}, devices: map[trace.Place]*trace.Device{}}
		var traces []*trace.Trace
		c := correlate.New(correlate.Options{Start: s.events[0].Time, Resolver: p, Emit: func(tr *trace.Trace) { traces = append(traces, tr) }})
		for i := range s.events {
			c.Add(&s.events[i])
		}
		c.Flush()
		for _, tr := range traces {
			for _, id := range []string{"red", "blue"} {
				if seen := (&view.Viewer{Tenant: id}).Of(tr); seen != nil {
					p.check(t, g.name, id, tr, seen)
				}
			}
		}
	})
}

// check fails if there is anything in a view that must not be.
func (p *parted) check(t *rapid.T, what, id string, tr, seen *trace.Trace) {
	if err := tracetest.CheckTree(seen); err != nil {
		t.Fatalf("%s, %s: %v", what, id, err)
	}
	line := render(seen)
	for _, d := range p.devices {
		if theirs(id, d) && strings.Contains(line, d.Name) {
			t.Fatalf("%s: %s sees the device %s in\n%s", what, id, d.Name, line)
		}
	}
	for _, ns := range p.spaces {
		if !ns.Shared && ns.Tenant != id && strings.Contains(line, ns.Name) {
			t.Fatalf("%s: %s sees the namespace %s in\n%s", what, id, ns.Name, line)
		}
	}
	hidden := hiddenTimes(id, tr)
	for i := range seen.Spans {
		s := &seen.Spans[i]
		times := []int64{s.Start, s.End}
		for _, e := range s.Events {
			times = append(times, e.Time)
		}
		for _, at := range times {
			if hidden[at] {
				t.Fatalf("%s: %s sees in %v the time %s of\n%s", what, id, s, strconv.FormatInt(at, 10), render(tr))
			}
		}
	}
}
