// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"maps"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// programs is what is needed of [datapath.Datapath].
type programs interface {
	Swap(datapath.Generation) (uint32, error)
	Attach(scope.Port, scope.Device) (string, error)
	Detach(index int) error
	Attached() ([]datapath.AttachedPort, error)
	Counters() ([]datapath.TableCounts, error)
	Ports() ([]datapath.PortCounts, error)
	SetTracing(map[string]*ebpf.Map) error
	Repin() (repaired bool, err error)
	Path(name string) string
	Close() error
	Remove() error
}

// kept is what the manager keeps of one tenant. It is the manager's lock's.
type kept struct {
	id     string
	number uint32
	// plans are what is in force, by family; none for a family without rules.
	plans map[header.Family]*plan
	// next is the ID of the next rule of either family.
	next uint32
	// programs is nil if there are none, and alone says why, or "" if none were needed yet.
	programs programs
	alone    string
	// ports are where programs are, by index, and unattached says why one is not.
	ports      map[int]string
	unattached map[string]error
	meter      *meter
	repairs    uint64
	// done and failed are changes.
	done, failed uint64
	// icmpState is what the tables in force say of rules that look at state.
	icmpState bool
	// broken says what is wrong, by what it is about.
	broken map[string]string
}

func newKept(id string, number uint32) *kept {
	return &kept{
		id: id, number: number, plans: map[header.Family]*plan{}, next: 1,
		ports: map[int]string{}, unattached: map[string]error{}, meter: newMeter(), broken: map[string]string{},
	}
}

// problem says what is wrong about something, or with "" that nothing is.
func (t *kept) problem(about, text string) {
	if text == "" {
		delete(t.broken, about)
		return
	}
	t.broken[about] = text
}

// generation is the tables of the plans.
func (t *kept) generation(plans map[header.Family]*plan, icmpState bool) datapath.Generation {
	var g datapath.Generation
	if p := plans[header.V4]; p != nil {
		g.Ingress4, g.Forward4 = p.tables(icmpState)
	}
	if p := plans[header.V6]; p != nil {
		g.Ingress6, g.Forward6 = p.tables(icmpState)
	}
	return g
}

// tables are those of the plan: nil for what iptables decides.
func (n *plan) tables(icmpState bool) (ingress, forward *datapath.Table) {
	if n.ingress != nil {
		ingress = &datapath.Table{Diagram: n.ingress, Premises: ofTable(n.premises, icmpState)}
	}
	if n.forward != nil {
		forward = &datapath.Table{Diagram: n.forward}
	}
	return ingress, forward
}

func ofTable(p *premises.Premises, icmpState bool) datapath.Premises {
	return datapath.Premises{Zones: p.Zones, Marks: p.Marks, NoDrop: p.NoDrop != "", ICMPState: icmpState || p.ICMPState != ""}
}

// with returns the plans with another one for a family; nil for none.
func (t *kept) with(f header.Family, n *plan) map[header.Family]*plan {
	plans := maps.Clone(t.plans)
	delete(plans, f)
	if n != nil {
		plans[f] = n
	}
	return plans
}

// paths are the programs that iptables calls: those of the plan, if they decide. What TC has
// passed is only believed if no packet can come from a port without program.
func (t *kept) paths(n *plan) netfilter.Programs {
	if t.programs == nil || n.forward == nil {
		return netfilter.Programs{}
	}
	p := netfilter.Programs{
		FromPass: t.programs.Path(datapath.FromPass), FromDrop: t.programs.Path(datapath.FromDrop),
		ToPass: t.programs.Path(datapath.ToPass), ToDrop: t.programs.Path(datapath.ToDrop),
	}
	if n.ingress != nil && len(t.unattached) == 0 {
		p.FromTagged = t.programs.Path(datapath.FromTagged)
	}
	return p
}
