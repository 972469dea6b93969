// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"fmt"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// noRules is what is said of a family without rules.
const noRules = "The tenant has no rules."

// unseen says that no packet meets a tenant's rules for now, because it has no devices. That is as it
// should be before its first guest is started, and not where the agent is not in the namespace
// of the hypervisor.
func unseen(st *scope.Tenant) string {
	if len(st.Devices) > 0 {
		return ""
	}
	return "For now no packet meets the rules, because no device of the tenant's is in the network namespace of the agent."
}

// answer says where the rules are decided that a command made, or those of the whole chain. A rule
// that iptables has to judge is what counts.
func (n *plan) answer(fresh []*iptables.Rule) *Answer {
	a := &Answer{}
	a.Place, a.Reason = n.whole()
	if len(fresh) == 0 {
		return a
	}
	isFresh := map[uint32]bool{}
	for _, r := range fresh {
		isFresh[r.ID] = true
	}
	var commands []string
	for _, c := range n.text.chains.List {
		for i, r := range c.Rules {
			if !isFresh[r.ID] {
				continue
			}
			if place, reason := n.placeAt(c.Name, i); len(commands) == 0 || place == IPTables && a.Place == TC {
				a.Place, a.Reason = place, reason
			}
			commands = append(commands, ruleCommand(n.family, c.Name, r))
		}
	}
	a.Command = strings.Join(commands, "\n")
	return a
}

// ruleCommand writes a rule as iptables-save prints it, with the command before it.
func ruleCommand(f header.Family, chain string, r *iptables.Rule) string {
	command := "iptables -A " + iptables.Quote(chain)
	if f == header.V6 {
		command = "ip6tables -A " + iptables.Quote(chain)
	}
	if text := r.String(); text != "" {
		command += " " + text
	}
	return command
}

// whole says where the rules of a plan are decided.
func (n *plan) whole() (Place, string) {
	switch {
	case n.why != "":
		return IPTables, sentence("iptables alone judges, because " + n.why)
	case n.ingress == nil:
		return TC, sentence("programs judge in FORWARD, but not at the ports, because " + n.late)
	case n.premises.NoDrop != "":
		return TC, sentence("programs judge, but drop nothing before FORWARD, because " + n.premises.NoDrop)
	}
	return TC, "Programs judge at the tenant's ports, and in FORWARD what cannot be known there."
}

// placeAt says who judges the packets that a rule matches, and why.
func (n *plan) placeAt(chain string, i int) (Place, string) {
	if n.why != "" {
		return n.whole()
	}
	r := &n.set.Chains[chain].Rules[i]
	if reason := n.reasons[r.ID]; reason != "" {
		return IPTables, sentence("packets that it may match are left to iptables, because " + reason + "; programs judge all others")
	}
	if looksAt(r.Boxes, header.State) {
		return TC, "A program judges in FORWARD, where the connection's state is known."
	}
	return n.whole()
}

// sentence gives a text a capital letter and a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimRight(text[1:], ".\n") + "."
}

func looksAt(boxes []header.Box, w header.Word) bool {
	for i := range boxes {
		if boxes[i][w] != nil {
			return true
		}
	}
	return false
}

// show carries out -L, -S and -C.
func (m *Manager) show(ctx context.Context, t *kept, cmd *iptables.Command, text *rulesText) (*Answer, error) {
	place, reason := IPTables, noRules
	n := t.plans[cmd.Family]
	if n != nil {
		place, reason = n.whole()
	}
	if cmd.Op == iptables.Check {
		if err := text.chains.Clone().Apply(cmd); err != nil {
			return notDone(err)
		}
		return &Answer{Place: place, Reason: "There is such a rule."}, nil
	}
	m.count(ctx, t, m.reading())
	out, err := text.chains.Print(cmd, t.counted(cmd.Family))
	if err != nil {
		return notDone(err)
	}
	return &Answer{Place: place, Reason: reason, Output: out}, nil
}

// counted says what the rules of a family counted.
func (t *kept) counted(f header.Family) iptables.CountersOf {
	return func(chain string, id uint32) counters {
		if id == 0 && chain != base {
			return counters{}
		}
		return t.meter.shown(f, id)
	}
}

// count reads all counters of a tenant.
func (m *Manager) count(ctx context.Context, t *kept, now *reading) {
	for f := range t.plans {
		installed, err := now.get(ctx, f)
		t.problem(fmt.Sprintf("installed%d", f), errorText(err))
		if err == nil {
			t.meter.tables(f, installed.Tenant(t.id, t.number))
		}
	}
	m.collect(t)
}

// reading is what stands in iptables, read once for all tenants.
type reading struct {
	tables tables
	got    map[header.Family]*netfilter.Installed
}

func (m *Manager) reading() *reading {
	return &reading{tables: m.faces.tables, got: map[header.Family]*netfilter.Installed{}}
}

func (r *reading) get(ctx context.Context, f header.Family) (*netfilter.Installed, error) {
	if r.got[f] == nil {
		installed, err := r.tables.Installed(ctx, f)
		if err != nil {
			return nil, err
		}
		r.got[f] = installed
	}
	return r.got[f], nil
}

// forget lets it be read again, because it has changed.
func (r *reading) forget(f header.Family) { delete(r.got, f) }

// Save returns the tenant's rules of one family as [Manager.Restore] takes them.
func (m *Manager) Save(ctx context.Context, id string, family int) (string, error) {
	f := header.Family(family)
	if f != header.V4 && f != header.V6 {
		return "", &CommandError{Err: fmt.Errorf("%d is not a valid family: use 4 or 6", family)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t, _, err := m.tenant(ctx, id)
	if err != nil {
		return "", err
	}
	m.count(ctx, t, m.reading())
	return t.text(f).chains.Save(t.counted(f)), nil
}
