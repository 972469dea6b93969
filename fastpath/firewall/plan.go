// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// plan is a tenant's rules of one family and all that is made of them.
type plan struct {
	family header.Family
	text   *rulesText
	set    *ruleset.Set
	// reasons say by rule ID why iptables has to judge some packets.
	reasons map[uint32]string
	// premises are those that ingress was compiled with.
	premises *premises.Premises
	// ingress and forward are nil if programs do not decide, and why says why. Only ingress is nil
	// if they do not at the ports, and late says why.
	ingress, forward *diagram.Diagram
	why, late        string
	layout           *netfilter.Layout
	// devices are the scope's when the plan was made.
	devices []scope.Device
	took    time.Duration
	// installed is what stood in iptables right after the plan was put in force.
	installed *netfilter.Installed
}

// askedTimes is of how many times firewall.max_rules one packet may be asked, by chains that are
// jumped to again and again: what that takes is taken from all that the host does.
const askedTimes = 10

// newPlan translates rules for a tenant, if they are not more than most.
func newPlan(st *scope.Tenant, text *rulesText, p *premises.Premises, most int) (*plan, error) {
	began := time.Now()
	f := text.chains.Family
	st = standing(st)
	n := &plan{family: f, text: text, premises: p, devices: st.Devices}
	if count := n.rules(); count > most {
		return nil, &CommandError{Err: fmt.Errorf("%d rules are more than a tenant may have for IPv%d, %d (firewall.max_rules)", count, f, most)}
	}
	n.set, n.reasons = text.chains.Lower(devices(st))
	if err := n.set.Check(); err != nil {
		return nil, &CommandError{Err: err}
	}
	if n.set.Longest() > askedTimes*most {
		return nil, &CommandError{Err: fmt.Errorf("one packet could have to pass more than %d rules (%d times firewall.max_rules), "+
			"because chains are jumped to from many rules: jump to them from fewer", askedTimes*most, askedTimes)}
	}
	n.layout = layoutOf(st, text)
	if err := n.compile(); err != nil {
		n.without(err.Error())
	}
	n.took = time.Since(began)
	return n, nil
}

// standing returns the tenant with devices that are not there now: rules stand for them by name, so that
// there is no moment without when one is made anew.
func standing(st *scope.Tenant) *scope.Tenant {
	all := *st
	all.Devices = slices.Clone(st.Devices)
	for _, name := range st.Absent {
		all.Devices = append(all.Devices, scope.Device{Name: name})
	}
	return &all
}

// verifySeed makes it the same packets that each diagram is compared with.
const verifySeed = 1

// compile makes the diagrams, and compares them with the interpreter. Without one for the ports,
// FORWARD decides.
func (n *plan) compile() (err error) {
	var early sync.WaitGroup
	o := diagram.Options{Stateless: true, Fresh: fresh(n.premises), Defer: n.premises.Defer}
	// Rules of large sets take seconds, and half of that if what is known at the ports is enough.
	same := !n.looksAtState()
	if n.late = n.premises.NoTag; n.late == "" && !same {
		early.Go(func() {
			var err error
			n.ingress, err = compiled(n.set, o)
			n.late = errorText(err)
		})
	}
	n.forward, err = compiled(n.set, diagram.Options{})
	early.Wait()
	if n.late == "" && same && err == nil {
		n.ingress, n.late = n.early(o)
	}
	return err
}

// early makes the diagram for the ports of that for FORWARD, or says why there is none.
func (n *plan) early(o diagram.Options) (*diagram.Diagram, string) {
	if len(o.Defer) == 0 {
		return n.forward, ""
	}
	d, err := n.forward.Deferring(n.family, o.Defer)
	if err != nil {
		return nil, err.Error()
	}
	if err := verify(d, n.set, o); err != nil {
		return nil, err.Error()
	}
	return d, ""
}

// without says why programs do not decide.
func (n *plan) without(why string) { n.ingress, n.forward, n.why = nil, nil, why }

// fresh are the states of a packet that has no entry in connection tracking, which the program at
// the port makes sure of before it drops. With a helper, it may be related to another's.
func fresh(p *premises.Premises) []uint32 {
	states := []uint32{
		header.StateOf(header.Invalid, 0), header.StateOf(header.New, 0), header.StateOf(header.Untracked, 0),
	}
	if p.Helper != "" {
		states = append(states, header.StateOf(header.Related, 0))
	}
	return states
}

func compiled(set *ruleset.Set, o diagram.Options) (*diagram.Diagram, error) {
	d, err := diagram.Compile(set, o)
	if err == nil {
		err = verify(d, set, o)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func verify(d *diagram.Diagram, set *ruleset.Set, o diagram.Options) error {
	if err := d.Verify(set, o, verifySeed); err != nil {
		return fmt.Errorf("the decision diagram is not equal to the rules (please report this): %w", err)
	}
	return nil
}

// looksAtState reports whether some rule may look at the state of connections.
func (n *plan) looksAtState() bool {
	for _, c := range n.set.Chains {
		for i := range c.Rules {
			r := &c.Rules[i]
			if r.Unknown {
				return true
			}
			for b := range r.Boxes {
				if r.Boxes[b][header.State] != nil {
					return true
				}
			}
		}
	}
	return false
}

// rules returns the number of rules.
func (n *plan) rules() int {
	count := 0
	for _, c := range n.text.chains.List {
		count += len(c.Rules)
	}
	return count
}

// layoutOf writes the rules as they are to stand in iptables, without programs.
func layoutOf(st *scope.Tenant, text *rulesText) *netfilter.Layout {
	l := &netfilter.Layout{Family: text.chains.Family, ID: st.ID, Number: st.Number, Base: iptables.Base}
	for _, d := range st.Devices {
		l.Devices = append(l.Devices, d.Name)
	}
	for _, c := range text.chains.List {
		if c.Name == iptables.Base {
			l.Drop = c.Policy == "DROP"
		}
		chain := netfilter.Chain{Name: c.Name}
		for _, r := range c.Rules {
			chain.Rules = append(chain.Rules, layoutRule(r))
		}
		l.Chains = append(l.Chains, chain)
	}
	return l
}

func layoutRule(r *iptables.Rule) netfilter.Rule {
	out := netfilter.Rule{ID: r.ID, Matches: r.Conditions(), Target: r.Target.Name, Goto: r.Target.Goto}
	if r.Opaque != "" {
		out.Target, out.Goto = "", false
		return out
	}
	// "-j LOG --log-prefix x" without the first two words.
	if words := strings.SplitN(r.Target.String(), " ", 3); len(words) == 3 {
		out.Options = words[2]
	}
	return out
}

// devices says of names in -i and -o what they mean for the tenant's packets: its own devices are
// where packets from it come in, and where packets to it go out, which did not come in there.
func devices(st *scope.Tenant) iptables.Devices {
	return func(name string, out bool) (from, to iptables.Truth) {
		own, others := 0, strings.HasSuffix(name, "+")
		for _, d := range st.Devices {
			if deviceHas(name, d.Name) {
				own++
			}
		}
		inside := iptables.Unknown
		switch own {
		case 0:
			inside = iptables.Never
		case len(st.Devices):
			inside = iptables.Always
		}
		if name == "+" {
			return iptables.Always, iptables.Always
		}
		if out {
			return iptables.Unknown, inside
		}
		if own > 0 && !others { // what comes in by this device is from the tenant
			return inside, iptables.Never
		}
		return inside, iptables.Unknown
	}
}

// deviceHas reports whether the device is meant by a name as of -i.
func deviceHas(name, device string) bool {
	if before, ok := strings.CutSuffix(name, "+"); ok {
		return strings.HasPrefix(device, before)
	}
	return name == device
}
