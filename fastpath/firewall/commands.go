// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/isolation"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

const base = iptables.Base

type counters = iptables.Counters

// Do carries out one command, or says what would be done. A command that is refused is an answer and
// not an error; after an error, nothing is changed.
func (m *Manager) Do(ctx context.Context, q Request) (*Answer, error) {
	cmd, err := iptables.ParseCommand(q.Words)
	if err != nil {
		return nil, &CommandError{Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.publish()
	t, st, err := m.tenant(ctx, q.Tenant)
	if err != nil {
		return nil, err
	}
	old := t.text(cmd.Family)
	if m.host.Get(q.Tenant) == nil || st.Problem != "" && cmd.Op.Edits() {
		return nil, m.ready(st)
	}
	decided, refused := m.decide(q, old.chains, cmd)
	switch {
	case refused != nil:
		return refused, nil
	case decided.Verdict == isolation.AsIs:
		return m.asIs(ctx, q, decided.Reason)
	case cmd.Op == iptables.Zero:
		return m.zero(ctx, q, t, cmd, old)
	case !cmd.Op.Edits():
		return m.show(ctx, t, cmd, old)
	}
	return m.edit(ctx, q, editing{t: t, st: st, cmd: cmd, old: old, reason: decided.Reason})
}

// text returns the rules in force, or those of a tenant that has none.
func (t *kept) text(f header.Family) *rulesText {
	if p := t.plans[f]; p != nil {
		return p.text
	}
	return &rulesText{tenant: t.id, chains: iptables.NewChains(f), next: t.next}
}

// editing is a command that changes rules.
type editing struct {
	t      *kept
	st     *scope.Tenant
	cmd    *iptables.Command
	old    *rulesText
	reason string
}

// edit carries out a command that changes rules.
func (m *Manager) edit(ctx context.Context, q Request, e editing) (*Answer, error) {
	next := &rulesText{tenant: e.t.id, chains: e.old.chains.Clone(), next: e.t.next}
	if err := next.chains.Apply(e.cmd); err != nil {
		return notDone(err)
	}
	fresh := next.give()
	if err := e.t.readable(e.cmd.Family); err != nil {
		return nil, err
	}
	n, err := m.newPlan(e.st, next)
	if err != nil {
		return nil, err
	}
	c := &change{m: m, t: e.t, to: n, st: e.st}
	if err := c.make(ctx, q.DryRun); err != nil {
		return refusedByKernel(err)
	}
	a := n.answer(fresh)
	a.Reason = sentences(sentences(e.reason, a.Reason), unseen(e.st))
	a.DryRun = q.DryRun
	return a, nil
}

// zero lets counters begin at 0.
func (m *Manager) zero(ctx context.Context, q Request, t *kept, cmd *iptables.Command, text *rulesText) (*Answer, error) {
	if err := text.chains.Clone().Apply(cmd); err != nil {
		return notDone(err)
	}
	m.count(ctx, t, m.reading())
	for _, c := range text.chains.List {
		if cmd.Chain != "" && c.Name != cmd.Chain || q.DryRun {
			continue
		}
		if c.Name == base && cmd.Number == 0 {
			t.meter.zero(cmd.Family, 0)
		}
		for i, r := range c.Rules {
			if cmd.Number == 0 || cmd.Number == i+1 {
				t.meter.zero(cmd.Family, r.ID)
			}
		}
	}
	return &Answer{Place: IPTables, Reason: "Counters begin at 0; those of metrics do not.", DryRun: q.DryRun}, nil
}

// make carries the change out or, for a dry run, only tests it.
func (c *change) make(ctx context.Context, dry bool) error {
	if !dry {
		return c.carryOut(ctx)
	}
	if c.t.programs != nil {
		c.to.layout.Programs = c.t.paths(c.to)
	} else if c.t.alone != "" {
		c.to.without(c.t.alone)
	}
	return c.test(ctx)
}

// notDone is the answer to a command that is valid but cannot be done, such as one about a
// rule that is not there.
func notDone(err error) (*Answer, error) {
	var wrong *iptables.EditError
	if errors.As(err, &wrong) {
		return &Answer{Place: Refused, Reason: wrong.Error()}, nil
	}
	return nil, &CommandError{Err: err}
}

// refusedByKernel makes what iptables says about a rule an answer.
func refusedByKernel(err error) (*Answer, error) {
	var wrong *CommandError
	if errors.As(err, &wrong) {
		return &Answer{Place: Refused, Reason: sentence("iptables does not take it: " + wrong.Error())}, nil
	}
	return nil, err
}

// ready says why a tenant cannot have rules now.
func (m *Manager) ready(st *scope.Tenant) error {
	if st.Problem != "" {
		return fmt.Errorf("%w: %s", ErrNoFirewall, st.Problem)
	}
	return nil
}

// readable returns an error if the file of rules could not be read, so that an edit would lose
// what is in it.
func (t *kept) readable(f header.Family) error {
	if t.plans[f] == nil && t.broken[rulesProblem(f)] != "" {
		return fmt.Errorf("%w: %s", ErrNoFirewall, t.broken[rulesProblem(f)])
	}
	return nil
}

// newPlan makes the plan for rules of a tenant, if they are not too many.
func (m *Manager) newPlan(st *scope.Tenant, text *rulesText) (*plan, error) {
	f := text.chains.Family
	if !m.faces.tables.Has(f) {
		return nil, fmt.Errorf("%w: the host has no iptables for IPv%d: install ip6tables", ErrNoFirewall, f)
	}
	n, err := newPlan(st, text, m.premises(f, st), m.options.MaxRules)
	if err != nil {
		return nil, err
	}
	if chain := n.layout.NeedsBit(); chain != "" {
		n.layout.Bit = m.freeBit()
	}
	return n, nil
}

// Restore replaces all rules of one family, or none if one is refused.
func (m *Manager) Restore(ctx context.Context, q Restore) (*Restored, error) {
	f := header.Family(q.Family)
	if f != header.V4 && f != header.V6 {
		return nil, &CommandError{Err: fmt.Errorf("%d is not a valid family: use 4 or 6", q.Family)}
	}
	save, err := iptables.ParseSave(f, q.Text)
	if err != nil {
		return nil, &CommandError{Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.publish()
	t, st, err := m.tenant(ctx, q.Tenant)
	if err != nil {
		return nil, err
	}
	if err := m.ready(st); err != nil {
		return nil, err
	}
	if refused := m.decideSave(q, save); len(refused) > 0 {
		return &Restored{Answers: refused}, nil
	}
	next := &rulesText{tenant: t.id, chains: t.text(f).chains.Clone(), next: t.next}
	if err := next.chains.Restore(save); err != nil {
		return nil, &CommandError{Err: err}
	}
	next.give()
	n, err := m.newPlan(st, next)
	if err != nil {
		return nil, err
	}
	c := &change{m: m, t: t, to: n, st: st}
	if err := c.make(ctx, q.DryRun); err != nil {
		a, err := refusedByKernel(err)
		if err != nil {
			return nil, err
		}
		return &Restored{Answers: []Answer{*a}}, nil
	}
	out := &Restored{Done: true, CompileTime: n.took, SwapTime: c.swapTime}
	for _, chain := range next.chains.List {
		for i, r := range chain.Rules {
			place, reason := n.placeAt(chain.Name, i)
			out.Answers = append(out.Answers, Answer{Place: place, Reason: reason, Command: ruleCommand(f, chain.Name, r), DryRun: q.DryRun})
		}
	}
	return out, nil
}

// Flush removes the tenant's rules, counters and files.
func (m *Manager) Flush(ctx context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.publish()
	t := m.tenants[id]
	if t == nil {
		kept, err := m.store.tenants()
		if err != nil {
			return err
		}
		if !m.set.Has(id) && !slices.Contains(kept, id) {
			return fmt.Errorf("%w: %q", ErrNoTenant, id)
		}
		t = newKept(id, tenant.NumberOf(id))
	}
	if err := m.takeOut(ctx, t); err != nil {
		return err
	}
	if err := m.faces.fault("out-files"); err != nil {
		return err
	}
	return m.store.remove(id)
}
