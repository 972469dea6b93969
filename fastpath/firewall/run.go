// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// again is how long Run waits before it looks at everything without having been told of a
// change: what could not be put in force is tried again.
const again = 10 * time.Second

// Run keeps the rules in force while devices, tenants and others' rules change, until ctx is
// done: then it returns nil. If it cannot be told of changes, it looks for them now and then.
func (m *Manager) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for what, watch := range map[string]func(context.Context, func()) error{"devices": m.faces.watchHost, "rules of others": m.faces.watchRules} {
		watching.Go(func() { m.watch(ctx, what, watch, tell) })
	}
	timer := time.NewTicker(again)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-m.wake:
		case <-timer.C:
		}
		m.check(ctx)
	}
}

// watch watches for changes, again and again if that fails.
func (m *Manager) watch(ctx context.Context, what string, watch func(context.Context, func()) error, tell func()) {
	said := ""
	for ctx.Err() == nil {
		err := watch(ctx, tell)
		if ctx.Err() != nil {
			return
		}
		if text := errorText(err); text != said {
			m.log.Error("the firewall cannot be told of changes; it looks for them now and then", "of", what, "error", err)
			said = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// check puts everything in force that is not, and logs what it cannot.
func (m *Manager) check(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.publish()
	m.host, m.foreign = nil, nil
	if err := m.look(ctx); err != nil {
		m.log.Error("the firewall's rules are not checked", "error", err)
		return
	}
	for _, t := range m.all() {
		if !m.set.Has(t.id) {
			m.logError("tenant's rules not taken out of force", t.id, m.retire(ctx, t.id))
		}
	}
	m.adoptNew(ctx)
	for _, t := range m.all() {
		if t.broken[leftover] != "" && len(t.plans) == 0 {
			m.logError("tenant's rules not taken out of iptables", t.id, m.takeOut(ctx, t))
		}
	}
	now := m.reading()
	for _, t := range m.all() {
		st := m.host.Get(t.id)
		if st == nil || st.Problem != "" {
			continue // rules stay as they were, and the listing says so
		}
		m.logError("tenant's rules not put in force again", t.id, m.renew(ctx, t, st, now))
	}
}

func (m *Manager) logError(what, id string, err error) {
	if err != nil {
		m.log.Error(what, "tenant", id, "error", err)
	}
}

// adoptNew puts the rules of tenants in force that are there again.
func (m *Manager) adoptNew(ctx context.Context) {
	ids, err := m.store.tenants()
	if err != nil {
		m.log.Error("the firewall's state directory cannot be read", "error", err)
	}
	for _, id := range ids {
		if m.set.Has(id) && m.tenants[id] == nil {
			m.logError("tenant's rules not put in force", id, m.adopt(ctx, id))
		}
	}
}

// renew puts in force what devices, others' rules or an earlier failure call for.
func (m *Manager) renew(ctx context.Context, t *kept, st *scope.Tenant, now *reading) error {
	errs := []error{m.repin(t)}
	for _, f := range families() {
		n := t.plans[f]
		if n == nil {
			continue
		}
		if !slices.EqualFunc(n.devices, standing(st).Devices, func(a, b scope.Device) bool { return a.Name == b.Name }) ||
			t.broken[rulesProblem(f)] != "" || n.layout.NeedsBit() != "" && n.layout.Bit != m.freeBit() {
			errs = append(errs, m.anew(ctx, t, st, n))
			now.forget(f)
		}
	}
	errs = append(errs, m.renewPremises(t, st))
	if t.programs != nil && t.attach(st) {
		for _, f := range families() {
			if n := t.plans[f]; n != nil && n.layout.Programs != t.paths(n) {
				errs = append(errs, m.anew(ctx, t, st, n))
				now.forget(f)
			}
		}
	}
	for _, f := range families() {
		if n := t.plans[f]; n != nil {
			errs = append(errs, m.repair(ctx, t, n, now))
		}
	}
	return errors.Join(errs...)
}

// repin pins the tenant's programs again if somebody has removed them.
func (m *Manager) repin(t *kept) error {
	if t.programs == nil {
		return nil
	}
	repaired, err := t.programs.Repin()
	t.problem("pinned", errorText(err))
	if repaired {
		t.repairs++
		m.log.Warn("somebody has removed a tenant's BPF programs from their file system; they are put back", "tenant", t.id)
	}
	return err
}

// anew puts the same rules in force for what the host is like now.
func (m *Manager) anew(ctx context.Context, t *kept, st *scope.Tenant, n *plan) error {
	next, err := m.newPlan(st, n.text)
	if err != nil {
		return err
	}
	return m.adoptPlan(ctx, t, st, next)
}

// renewPremises puts tables in force that were made with other premises.
func (m *Manager) renewPremises(t *kept, st *scope.Tenant) error {
	if t.programs == nil {
		return nil
	}
	changed := t.icmpState != m.state(t, nil)
	plans := map[header.Family]*plan{}
	for f, n := range t.plans {
		plans[f] = n
		if reflect.DeepEqual(n.premises, m.premises(f, st)) || n.why != "" {
			continue
		}
		next, err := m.newPlan(st, n.text)
		if err != nil {
			return err
		}
		next.layout, next.installed = n.layout, n.installed
		plans[f], changed = next, true
	}
	if !changed {
		return nil
	}
	return m.swap(t, plans, m.state(t, nil))
}

// swap puts the tables of plans in force.
func (m *Manager) swap(t *kept, plans map[header.Family]*plan, icmpState bool) error {
	generation, err := t.programs.Swap(t.generation(plans, icmpState))
	if err != nil {
		return err
	}
	t.meter.swapped(generation, plans)
	t.plans, t.icmpState = plans, icmpState
	m.collect(t)
	m.changed(t)
	// What the tables that are gone have counted is only in memory.
	var errs []error
	for f, n := range plans {
		err := m.store.intend(t.id, f, m.render(t, n.text))
		if err == nil {
			err = m.store.commit(t.id, f)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// repair puts back what others have changed of the tenant's chains.
func (m *Manager) repair(ctx context.Context, t *kept, n *plan, read *reading) error {
	now, err := read.get(ctx, n.family)
	if err != nil {
		return err
	}
	t.meter.tables(n.family, now.Tenant(t.id, t.number))
	if n.installed == nil {
		n.installed = now
		return nil
	}
	drift := now.Drift(n.installed, t.id, t.number)
	if len(drift) == 0 {
		return nil
	}
	t.repairs++
	m.log.Warn("somebody has changed a tenant's rules in iptables; they are put back", "tenant", t.id, "family", int(n.family), "changed", strings.Join(drift, "; "))
	read.forget(n.family)
	if err := m.faces.tables.Apply(ctx, n.layout); err != nil {
		return err
	}
	n.installed, err = read.get(ctx, n.family)
	return err
}

// restate tells the programs of all tenants whether any rule looks at the state of connections.
func (m *Manager) restate() error {
	var errs []error
	for _, t := range m.all() {
		if now := m.state(t, nil); t.programs != nil && now != t.icmpState {
			errs = append(errs, m.swap(t, t.plans, now))
		}
	}
	return errors.Join(errs...)
}
