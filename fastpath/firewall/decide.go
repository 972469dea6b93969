// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"strings"

	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/isolation"
)

// decide decides whether the command can be confined to the tenant. If it is refused, the answer
// says so.
func (m *Manager) decide(q Request, own *iptables.Chains, cmd *iptables.Command) (isolation.Decision, *Answer) {
	asker := isolation.Asker{Operator: q.Operator, AffectOthers: q.AffectOthers}
	d := isolation.Decide(m.host, q.Tenant, own, cmd, asker)
	if d.Verdict != isolation.Refused {
		return d, nil
	}
	a := refused(d)
	a.DryRun = q.DryRun
	return d, &a
}

// decideSave decides about a file of rules, and returns what is refused.
func (m *Manager) decideSave(q Restore, save *iptables.Save) []Answer {
	var all []Answer
	for _, d := range isolation.DecideSave(m.host, q.Tenant, save, isolation.Asker{Operator: q.Operator}) {
		a := refused(d)
		a.DryRun = q.DryRun
		all = append(all, a)
	}
	return all
}

func refused(d isolation.Decision) Answer {
	return Answer{Place: Refused, Reason: d.Reason, Witness: d.Witness, Whose: d.Whose, Command: d.Command}
}

// sentences joins two reasons.
func sentences(a, b string) string { return strings.TrimSpace(sentence(a) + " " + sentence(b)) }
