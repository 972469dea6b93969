// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// change is a transaction: it puts a plan in force for a tenant, or nothing.
//
// Its steps are in an order in which one can stop after each, even by being killed, and each
// packet is judged by the old rules or by the new. The programs come first and have no tables
// yet, so they leave everything to iptables. The new rules then replace the old ones in iptables, in
// one go; of packets that the old tables decide, those still do. The new tables replace
// these, in one go. Only then the new file of rules replaces the old one: whoever starts after
// a crash in between goes back to the old rules, in the same way.
type change struct {
	m  *Manager
	t  *kept
	to *plan
	st *scope.Tenant
	// adopting is set if the file is in force already.
	adopting bool
	// intended and applied are set when there is something to undo.
	intended, applied bool
	swapTime          time.Duration
}

// step is a step of a change.
type step struct {
	name string
	do   func(context.Context) error
}

// carryOut makes the change. It can only be cancelled before something is changed.
func (c *change) carryOut(ctx context.Context) error {
	before := []step{{"open", c.open}, {"attach", c.attach}, {"test", c.test}, {"intend", c.intend}}
	for _, s := range before {
		if err := errors.Join(ctx.Err(), c.m.faces.fault(s.name)); err != nil {
			return c.undo(err)
		}
		if err := s.do(ctx); err != nil {
			return c.undo(err)
		}
	}
	began := time.Now()
	ctx = context.WithoutCancel(ctx)
	for _, s := range []step{{"apply", c.apply}, {"swap", c.swap}, {"commit", c.commit}} {
		if err := c.m.faces.fault(s.name); err != nil {
			return c.undo(err)
		}
		if err := s.do(ctx); err != nil {
			return c.undo(err)
		}
	}
	c.swapTime = time.Since(began)
	c.inForce(ctx)
	return c.m.faces.fault("end")
}

// open makes or adopts the tenant's programs. Without them, iptables decides alone.
func (c *change) open(context.Context) error {
	if c.to.why != "" && c.t.programs == nil {
		return nil
	}
	if c.t.programs == nil {
		p, err := c.m.faces.open(c.t.number)
		if err != nil {
			c.t.alone = err.Error()
			c.to.without(c.t.alone)
			return nil //nolint:nilerr // the answer says so
		}
		c.t.programs, c.t.alone = p, ""
	}
	return nil
}

// attach puts the programs at the tenant's ports.
func (c *change) attach(context.Context) error {
	if c.t.programs != nil {
		c.t.attach(c.st)
	}
	c.to.layout.Programs = c.t.paths(c.to)
	return nil
}

// attach puts the programs at the ports that have none and takes them from those that are not
// the tenant's any more. It reports whether anything has changed.
func (t *kept) attach(st *scope.Tenant) (changed bool) {
	before := len(t.unattached)
	clear(t.unattached)
	now := map[int]bool{}
	for _, p := range st.Ports {
		now[p.Index] = true
		how, err := t.programs.Attach(p, deviceOf(st, p))
		if err != nil {
			t.unattached[p.Name] = err
			delete(t.ports, p.Index)
			continue
		}
		changed = changed || t.ports[p.Index] != how
		t.ports[p.Index] = how
	}
	attached, err := t.programs.Attached()
	t.problem("attached", errorText(err))
	for _, a := range attached {
		if now[a.Index] {
			continue
		}
		if err := t.programs.Detach(a.Index); err != nil {
			t.problem("detach", fmt.Sprintf("the program at device %d, which is not the tenant's any more, cannot be taken away: %v", a.Index, err))
		}
		delete(t.ports, a.Index)
		changed = true
	}
	return changed || before != len(t.unattached)
}

func deviceOf(st *scope.Tenant, p scope.Port) scope.Device {
	for _, d := range st.Devices {
		if d.Index == p.Device {
			return d
		}
	}
	return scope.Device{}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// test asks iptables whether it takes the rules. If it only does without the programs, it
// decides alone.
func (c *change) test(ctx context.Context) error {
	if c.adopting { // they were taken once, and Apply changes nothing if they are not any more
		return nil
	}
	l := c.to.layout
	err := c.m.faces.tables.Test(ctx, l)
	var wrong *netfilter.RuleError
	if err == nil || l.Programs == (netfilter.Programs{}) || errors.As(err, &wrong) && wrong.ID != 0 {
		return explainRule(err)
	}
	bare := *l
	bare.Programs = netfilter.Programs{}
	if again := c.m.faces.tables.Test(ctx, &bare); again != nil {
		return explainRule(again)
	}
	c.to.layout = &bare
	c.to.without(fmt.Sprintf("iptables cannot ask BPF programs here: its match bpf (xt_bpf) does not work: %v", err))
	return nil
}

// explainRule makes what iptables says about a rule the caller's error.
func explainRule(err error) error {
	var wrong *netfilter.RuleError
	var bit *netfilter.BitError
	if errors.As(err, &wrong) && wrong.ID != 0 || errors.As(err, &bit) {
		return &CommandError{Err: err}
	}
	return err
}

func (c *change) intend(context.Context) error {
	if c.adopting {
		return nil
	}
	c.intended = true
	c.m.collect(c.t)
	if err := c.m.store.intend(c.t.id, c.to.family, c.m.render(c.t, c.to.text)); err != nil {
		return fmt.Errorf("the rules cannot be kept: %w", err)
	}
	return nil
}

func (c *change) apply(ctx context.Context) error {
	c.applied = true
	return c.m.faces.tables.Apply(ctx, c.to.layout)
}

// swap puts the tables in force. If the kernel does not take them, none are, and iptables
// decides by the new rules alone.
func (c *change) swap(context.Context) error {
	if c.t.programs == nil {
		return nil
	}
	c.m.collect(c.t)
	plans, state := c.t.with(c.to.family, c.to), c.m.state(c.t, c.to)
	generation, err := c.t.programs.Swap(c.t.generation(plans, state))
	if err == nil {
		c.t.icmpState = state
		c.t.meter.swapped(generation, plans)
		c.m.collect(c.t)
		return nil
	}
	if _, again := c.t.programs.Swap(datapath.Generation{}); again != nil {
		return errors.Join(err, again)
	}
	for _, p := range plans {
		p.without(fmt.Sprintf("the kernel does not take the tables of the programs: %v", err))
	}
	return nil
}

func (c *change) commit(context.Context) error {
	if c.adopting {
		return nil
	}
	if err := c.m.store.commit(c.t.id, c.to.family); err != nil {
		return fmt.Errorf("the rules cannot be kept: %w", err)
	}
	return nil
}

// inForce notes what is in force now.
func (c *change) inForce(ctx context.Context) {
	t, f := c.t, c.to.family
	t.done++
	t.plans[f] = c.to
	t.next = max(t.next, c.to.text.next)
	c.m.tenants[t.id] = t
	c.m.name(t, c.to)
	t.meter.keep(f, c.to)
	installed, err := c.m.faces.tables.Installed(ctx, f)
	c.to.installed = installed
	t.problem(fmt.Sprintf("installed%d", f), errorText(err))
	t.problem(rulesProblem(f), "")
	t.problem(leftover, "")
	t.problem("state", errorText(c.m.restate()))
	c.m.changed(t)
}

// undo goes back to what was in force, after an error.
func (c *change) undo(err error) error {
	ctx := context.Background()
	c.t.failed++
	errs := []error{err}
	f := c.to.family
	old := c.t.plans[f]
	if c.adopting {
		return err // what was there before is not known; it is tried again
	}
	var left error
	if c.applied {
		left = c.back(ctx, old)
	}
	if c.intended {
		errs = append(errs, c.m.store.forget(c.t.id, f))
	}
	switch {
	case left != nil: // rules that have the programs may be there, so those must stay
		c.m.tenants[c.t.id] = c.t
		c.t.left(f, old != nil, left)
	case len(c.t.plans) == 0:
		left = c.m.drop(ctx, c.t)
	}
	errs = append(errs, left)
	return errors.Join(errs...)
}

// leftover is the problem that something could not be taken out of iptables.
const leftover = "leftover"

// left notes that the rules before a failed change, or that there were none, could not be put in
// force again. It is tried again.
func (t *kept) left(f header.Family, rules bool, err error) {
	if rules {
		t.problem(rulesProblem(f), fmt.Sprintf("the rules for IPv%d are not in force as they should be: %v", f, err))
		return
	}
	t.problem(leftover, fmt.Sprintf("rules of a change that failed are still in iptables: %v", err))
}

// back puts the old plan in force again.
func (c *change) back(ctx context.Context, old *plan) error {
	defer c.m.changed(c.t)
	var err error
	if c.t.programs != nil {
		generation, swapErr := c.t.programs.Swap(c.t.generation(c.t.plans, c.m.state(c.t, old)))
		if swapErr == nil {
			c.t.meter.swapped(generation, c.t.plans)
		}
		err = swapErr
	}
	if old == nil {
		return errors.Join(err, c.m.faces.tables.Remove(ctx, c.to.family, c.t.id, c.t.number))
	}
	old.layout.Programs = c.t.paths(old)
	return errors.Join(err, c.m.faces.tables.Apply(ctx, old.layout))
}
