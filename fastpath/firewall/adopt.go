// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Adopt compares what the files say with what is in force, and repairs it. It is called once,
// after the first [Manager.SetTenants]. What is wrong with one tenant is a problem in its
// listing and does not keep the others from being adopted; the error joins all of these.
func (m *Manager) Adopt(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.publish()
	m.host, m.foreign = nil, nil
	if err := m.look(ctx); err != nil {
		return err
	}
	ids, err := m.store.tenants()
	if err != nil {
		return err
	}
	var errs []error
	kept := map[string]bool{}
	for _, id := range ids {
		if !m.set.Has(id) {
			errs = append(errs, m.retire(ctx, id))
			continue
		}
		kept[id] = true
		errs = append(errs, m.adopt(ctx, id))
	}
	for _, id := range m.set.IDs() {
		if !kept[id] { // a first change was not finished
			errs = append(errs, m.takeOut(ctx, newKept(id, m.set.Number(id))))
		}
	}
	return errors.Join(errs...)
}

// retire takes the rules of a tenant out of force that is no longer there. Its files stay.
func (m *Manager) retire(ctx context.Context, id string) error {
	t := m.tenants[id]
	if t == nil {
		t = newKept(id, tenant.NumberOf(id))
	}
	if len(t.plans) > 0 {
		m.log.Warn("the rules of a tenant that is no longer there are taken out of force; its files are kept", "tenant", id, "files", filepath.Dir(m.store.path(id, header.V4)))
	}
	if err := m.takeOut(ctx, t); err != nil {
		return fmt.Errorf("tenant %s is no longer there, and its rules cannot be taken out of force: %w", id, err)
	}
	return nil
}

// adopt puts in force what the files of a tenant say.
func (m *Manager) adopt(ctx context.Context, id string) error {
	t := newKept(id, m.set.Number(id))
	st := m.scopeOf(t)
	texts := map[header.Family]*rulesText{}
	var errs []error
	for _, f := range families() {
		text, err := m.kept(t, f)
		if err != nil {
			t.problem(rulesProblem(f), err.Error())
			errs = append(errs, fmt.Errorf("tenant %s: %w", id, err))
		}
		if text != nil {
			texts[f] = text
			t.next = max(t.next, text.next)
		}
	}
	if len(texts) == 0 && len(t.broken) == 0 {
		return errors.Join(append(errs, m.takeOut(ctx, t), m.store.remove(id))...)
	}
	m.tenants[id] = t
	for f, text := range texts {
		if err := m.adoptFamily(t, st, text); err != nil {
			t.problem(rulesProblem(f), fmt.Sprintf("the rules for IPv%d are not in force as they should be: %v", f, err))
			errs = append(errs, fmt.Errorf("tenant %s: IPv%d: %w", id, f, err))
		}
	}
	for f := range texts {
		if p := t.plans[f]; p != nil {
			errs = append(errs, m.adoptPlan(ctx, t, st, p))
		}
	}
	return errors.Join(errs...)
}

func rulesProblem(f header.Family) string { return fmt.Sprintf("rules%d", f) }

// kept reads the file of rules, and forgets what an unfinished change has left.
func (m *Manager) kept(t *kept, f header.Family) (*rulesText, error) {
	path := m.store.path(t.id, f)
	unfinished, err := m.store.readNext(t.id, f)
	if err != nil {
		return nil, err
	}
	if unfinished != "" {
		if text, err := parseText(t.id, f, unfinished); err == nil {
			t.next = max(t.next, text.next) // its rules may stand in traces
		}
		m.log.Warn("a change of a tenant's rules was not finished; the rules before it are in force", "tenant", t.id, "family", int(f))
		if err := m.store.forget(t.id, f); err != nil {
			return nil, err
		}
	}
	content, err := m.store.read(t.id, f)
	if err != nil || content == "" {
		return nil, err
	}
	text, err := parseText(t.id, f, content)
	if err != nil {
		return nil, fmt.Errorf("the rules in %s cannot be read, and those in force stay as they are: %w; mend the file and start the agent again, or replace it with dwell firewall apply, or dwell firewall flush", path, err)
	}
	return text, nil
}

// adoptFamily makes the plan for the rules of a file.
func (m *Manager) adoptFamily(t *kept, st *scope.Tenant, text *rulesText) error {
	text.next = t.next
	text.give()
	t.next = text.next
	for id, c := range text.counts {
		t.meter.begin(meterKey{text.chains.Family, id}, c)
	}
	n, err := m.newPlan(st, text)
	if err != nil {
		return err
	}
	t.plans[text.chains.Family] = n
	return nil
}

// adoptPlan puts a plan in force whose rules are in a file.
func (m *Manager) adoptPlan(ctx context.Context, t *kept, st *scope.Tenant, n *plan) error {
	if st.Problem != "" { // what is there stays
		return fmt.Errorf("tenant %s: %w: %s", t.id, ErrNoFirewall, st.Problem)
	}
	if t.programs == nil {
		m.adoptPrograms(t, n)
	}
	c := &change{m: m, t: t, to: n, st: st, adopting: true}
	if err := c.carryOut(ctx); err != nil {
		t.problem(rulesProblem(n.family), fmt.Sprintf("the rules for IPv%d are not in force as they should be: %v", n.family, err))
		return fmt.Errorf("tenant %s: IPv%d: %w", t.id, n.family, err)
	}
	return nil
}

// adoptPrograms opens programs that an earlier process has left, and says what their leaves
// are. Diagrams only depend on the rules, so those are what they were if there are as many.
func (m *Manager) adoptPrograms(t *kept, n *plan) {
	if n.why != "" && !m.pinned(t.number) {
		return
	}
	p, err := m.faces.open(t.number)
	if err != nil {
		return // the change tries again and says so
	}
	t.programs = p
	counts, err := p.Counters()
	if err != nil {
		return
	}
	seen := map[uint32]bool{}
	for _, c := range counts {
		if !seen[c.Generation] {
			seen[c.Generation] = true
			t.meter.swapped(c.Generation, t.plans)
		}
	}
	t.meter.programs(counts)
}

// pinned reports whether there may be programs of the tenant with the number.
func (m *Manager) pinned(number uint32) bool {
	found, err := filepath.Glob(filepath.Join(m.options.Pin, "*", fmt.Sprintf("%08x", number)))
	return err != nil || len(found) > 0
}

// takeOut removes all of a tenant's from the kernel: first the programs stop to judge, then the
// rules in iptables go, in one go, and last the programs.
func (m *Manager) takeOut(ctx context.Context, t *kept) error {
	ctx = context.WithoutCancel(ctx)
	if err := m.faces.fault("out-swap"); err != nil {
		return err
	}
	if t.programs == nil && m.pinned(t.number) {
		p, err := m.faces.open(t.number)
		if err != nil {
			return fmt.Errorf("its programs, which an earlier process has left: %w", err)
		}
		t.programs = p
	}
	if t.programs != nil {
		if _, err := t.programs.Swap(datapath.Generation{}); err != nil {
			return err
		}
	}
	defer m.changed(t)
	for _, f := range families() {
		if !m.faces.tables.Has(f) {
			continue
		}
		if err := m.faces.fault(fmt.Sprintf("out-rules%d", f)); err != nil {
			return err
		}
		if err := m.faces.tables.Remove(ctx, f, t.id, t.number); err != nil {
			return err
		}
		delete(t.plans, f)
		m.history.put(t.number, f, nil, nil, nil)
	}
	if err := m.faces.fault("out-programs"); err != nil {
		return err
	}
	return m.drop(ctx, t)
}
