// SPDX-License-Identifier: Apache-2.0

// Package ruletrace says in traces what the firewalls of tenants and their fast path do: it names
// the rules and reasons whose numbers programs write into the tracer's ring, and finds the rule in
// iptables that dropped a packet.
//
// Firewall and fast path know nothing of traces and the tracing nothing of rules, so that each is tested
// and fails alone; this package is where they meet.
package ruletrace

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/clock"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Rules is what is asked of a [firewall.Manager], which answers at once.
type Rules interface {
	// Rule returns a rule by the numbers that are in traces.
	Rule(tenant, id uint32) (firewall.Rule, bool)
	// Rules returns the rules of a tenant that are in force and since when, and false if there
	// are none.
	Rules(tenant uint32, family header.Family) (set *ruleset.Set, since time.Time, ok bool)
	// Host returns what is whose, nil if that has not been read yet.
	Host() *scope.Host
	// SetTracing gives the programs the maps of a tracer.
	SetTracing(shared map[string]*ebpf.Map) error
}

// base is the chain in which the judging of a tenant's packets begins.
const base = "FORWARD"

// Firewall answers an agent. Its methods are called by one goroutine.
type Firewall struct {
	rules Rules
	// inode is that of the hypervisor's network namespace.
	inode uint32
	// route returns the index of the device by which a packet that came in by a device is
	// forwarded, or 0.
	route func(in int, src, dst netip.Addr) int
	close func()
	// now reads the events' clock.
	now    clock.Reading
	budget budget
}

// New returns what says in traces what the rules do, in the hypervisor's network namespace, which
// may be closed afterwards. It must be closed.
func New(rules Rules, ns *netns.NS) (*Firewall, error) {
	now, err := clock.Kernel()
	if err != nil {
		return nil, err
	}
	routes, err := ns.Netlink()
	if err != nil {
		return nil, fmt.Errorf("ask for routes: %w", err)
	}
	return &Firewall{rules: rules, inode: ns.Inode(), route: routing(routes), close: routes.Close, now: now}, nil
}

// Close lets go of what New took. The agent must have ended.
func (f *Firewall) Close() { f.close() }

// routing asks the kernel for routes. Marks, by which rules of routing may choose, are not known.
func routing(h *netlink.Handle) func(in int, src, dst netip.Addr) int {
	return func(in int, src, dst netip.Addr) int {
		routes, err := h.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{IifIndex: in, SrcAddr: src.AsSlice()})
		if err != nil || len(routes) == 0 {
			return 0
		}
		return routes[0].LinkIndex
	}
}

// SetTracing gives the programs the maps of a tracer, or takes them away with nil.
func (f *Firewall) SetTracing(shared map[string]*ebpf.Map) error { return f.rules.SetTracing(shared) }

// Rule returns the rule, or for the number 0 the policy, of the tenant with the number.
func (f *Firewall) Rule(tenant, id uint32) trace.Rule {
	if r, ok := f.rules.Rule(tenant, id); ok {
		return trace.Rule{Tenant: r.Tenant, Chain: r.Chain, Number: uint32(max(0, r.Number)), UUID: r.UUID, Text: r.Text}
	}
	r := trace.Rule{Tenant: f.tenant(tenant)}
	if r.Tenant != "" && id == 0 {
		r.Chain = base
	}
	return r
}

// tenant returns the ID of the tenant with the number, or "".
func (f *Firewall) tenant(number uint32) string {
	if h := f.rules.Host(); h != nil {
		for i := range h.Tenants {
			if h.Tenants[i].Number == number {
				return h.Tenants[i].ID
			}
		}
	}
	return ""
}

// Reason names why a program left a packet to the next.
func (f *Firewall) Reason(code uint16) string {
	if r := datapath.Reason(code); r != datapath.Decided {
		return r.String()
	}
	return ""
}

// way returns the numbers of the tenants between whom a packet is forwarded that came in by a
// device; 0 is nobody.
func (f *Firewall) way(in uint32, src, dst netip.Addr) (from, to uint32) {
	h := f.rules.Host()
	if h == nil {
		return 0, 0
	}
	from, to = owner(h, int(in)), owner(h, f.route(int(in), src, dst))
	if to == from {
		to = 0 // it was judged as the tenant's own
	}
	return from, to
}

// owner returns the number of the tenant whose device or port has the index, or 0.
func owner(h *scope.Host, index int) uint32 {
	for i := range h.Tenants {
		t := &h.Tenants[i]
		for k := range t.Devices {
			if t.Devices[k].Index == index {
				return t.Number
			}
		}
		for k := range t.Ports {
			if t.Ports[k].Index == index {
				return t.Number
			}
		}
	}
	return 0
}

// budget bounds the time that judging takes away from reading events.
type budget struct {
	began time.Time
	spent time.Duration
}

const (
	budgetPeriod = time.Second
	budgetSpend  = 50 * time.Millisecond
)

// left reports whether there is time for another.
func (b *budget) left(now time.Time) bool {
	if now.Sub(b.began) >= budgetPeriod {
		*b = budget{began: now}
	}
	return b.spent < budgetSpend
}
