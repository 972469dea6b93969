// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Verdict is what may be done with a command.
type Verdict uint8

// The verdicts.
const (
	// Refused: nothing.
	Refused Verdict = iota
	// Confined: it may be applied to the tenant's own chains, where it affects nobody else.
	Confined
	// AsIs: it affects others, or may, and the operator wants it in the host's iptables all the same.
	AsIs
)

// Asker is who gives a command.
type Asker struct {
	// Operator: the operator, on the tenant's behalf. Only the operator is shown names of
	// others.
	Operator bool
	// AffectOthers: the operator wants what cannot be confined put into iptables as it is.
	AffectOthers bool
}

// Decision is what [Decide] says of a command.
type Decision struct {
	Verdict Verdict
	// Reason is a sentence: what the command means in the tenant's chains, or why it is refused.
	Reason string
	// Witness is a packet of somebody else's that it would affect, as [header.ParseProbe] reads
	// it, and Whose says whose. "" if the command is not refused for such a packet.
	Witness, Whose string
	// Command is the rule that is refused, of a file.
	Command string
}

// decider decides for one tenant and family.
type decider struct {
	host   *scope.Host
	tenant *scope.Tenant
	asker  Asker
	// chains are the names of the tenant's own chains, without FORWARD.
	chains []string
	family header.Family
	// space tells apart all names of devices that are in the rules.
	space *Space
	// own and others are the prefixes of the tenant and of all others, by the word in which an
	// address begins.
	own, others map[header.Word]prefixes
	// logs is what rules log that were decided before.
	logs logs
}

// Decide says whether a command of a tenant's can be confined to its packets. The chains are those that the
// tenant has before the command, of the command's family.
func Decide(host *scope.Host, tenant string, chains *iptables.Chains, cmd *iptables.Command, asker Asker) Decision {
	d, refusal := newDecider(host, tenant, cmd.Family, asker)
	if d == nil {
		return finish(refusal, asker)
	}
	for _, c := range chains.List {
		if c.Name != iptables.Base {
			d.chains = append(d.chains, c.Name)
		}
	}
	d.alreadyLogging(chains, cmd)
	d.know(cmd.Rules)
	return finish(d.command(cmd), asker)
}

func newDecider(host *scope.Host, tenant string, family header.Family, asker Asker) (*decider, Decision) {
	t := host.Get(tenant)
	switch {
	case t == nil:
		return nil, Decision{Reason: "There is no tenant " + tenant + " on this host."}
	case t.Problem != "":
		return nil, Decision{Reason: t.Problem}
	}
	d := &decider{host: host, tenant: t, asker: asker, family: family}
	d.own, d.others = map[header.Word]prefixes{}, map[header.Word]prefixes{}
	for _, first := range []header.Word{header.Src0, header.Dst0} {
		d.own[first] = d.prefixes(first, func(id string) bool { return id == t.ID })
		d.others[first] = d.prefixes(first, func(id string) bool { return id != t.ID })
	}
	return d, Decision{}
}

// know makes the space in which rules are sets.
func (d *decider) know(rules []*iptables.Rule) {
	d.space = NewSpace(d.family, d.host, deviceNames(rules))
}

// deviceNames returns what rules have after -i and -o.
func deviceNames(rules []*iptables.Rule) []string {
	var names []string
	for _, r := range rules {
		for _, name := range []string{r.In.Name, r.Out.Name} {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// finish lets the operator have what is refused to a tenant.
func finish(decision Decision, asker Asker) Decision {
	switch {
	case decision.Verdict != Refused || !asker.Operator:
	case asker.AffectOthers:
		decision.Verdict = AsIs
		decision.Reason = "It is put into the host's iptables as it is, and affects others: " + decision.Reason
	case decision.Witness != "":
		decision.Reason += " With --affect-others it is put into the host's iptables as it is."
	}
	return decision
}

func (d *decider) command(cmd *iptables.Command) Decision {
	if refusal, refused := d.place(Hook{cmd.Table, cmd.Chain}, cmd); refused {
		return refusal
	}
	if refusal, refused := d.chain(cmd); refused {
		return refusal
	}
	for _, r := range cmd.Rules {
		if cmd.Op == iptables.Delete || cmd.Op == iptables.Check {
			break // it is found, or not
		}
		if refusal, refused := d.rule(r); refused {
			return refusal
		}
	}
	return Decision{Verdict: Confined, Reason: d.meaning(cmd)}
}

// place refuses tables and hooks that are not the tenant's alone.
func (d *decider) place(h Hook, cmd *iptables.Command) (Decision, bool) {
	own := h.Chain == "" || h.Chain == iptables.Base || slices.Contains(d.chains, h.Chain) || cmd.Op == iptables.NewChain
	builtIn := slices.Contains([]string{"INPUT", "OUTPUT", "PREROUTING", "POSTROUTING"}, h.Chain)
	var why string
	switch {
	case h.Table != forward().Table:
		why = fmt.Sprintf("%s can only have rules in the table filter, because those of the table %s are for the packets of all.", d.tenant.ID, h.Table)
	case builtIn && cmd.Op != iptables.NewChain:
		why = fmt.Sprintf("%s can only have rules in FORWARD, because %s is for packets of the host itself.", d.tenant.ID, h.Chain)
	case own:
		return Decision{}, false
	default:
		why = fmt.Sprintf("%s is not a chain of %s's, and it may be somebody else's: make one with -N %s first.", h.Chain, d.tenant.ID, h.Chain)
	}
	if !cmd.Op.Edits() {
		return Decision{Reason: why}, true
	}
	return d.refuse(why, hookOf(h), cmd.Rules), true
}

// hookOf returns the hook at which a chain is reached: of a chain that is not the kernel's, it is one of
// its table's.
func hookOf(h Hook) Hook {
	if slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"}, h.Chain) {
		return h
	}
	switch h.Table {
	case "nat":
		return Hook{h.Table, "POSTROUTING"}
	case "raw":
		return Hook{h.Table, "PREROUTING"}
	}
	return Hook{h.Table, "FORWARD"}
}

// refuse adds a packet of others' that the rules match; without rules, any of others'.
func (d *decider) refuse(why string, h Hook, rules []*iptables.Rule) Decision {
	affected := []Cell{{}}
	if len(rules) > 0 {
		affected = nil
		for _, r := range rules {
			affected = append(affected, d.space.lower(r).Cells...)
		}
	}
	show := shower{
		space: d.space, host: d.host, tenant: d.tenant.ID, hook: h, secret: !d.asker.Operator, typed: deviceNames(rules),
	}
	refusal := Decision{Reason: why}
	if w := show.show(meet(affected, d.space.Others(d.tenant.ID, h))); w != nil {
		refusal.Witness, refusal.Whose = w.Packet.String(), w.Whose
	}
	return refusal
}

// chain refuses names that a new chain must not have.
func (d *decider) chain(cmd *iptables.Command) (Decision, bool) {
	name := cmd.NewName
	if cmd.Op == iptables.NewChain {
		name = cmd.Chain
	}
	if name == "" {
		return Decision{}, false
	}
	if reason := badName(name); reason != "" {
		return Decision{Reason: fmt.Sprintf("A chain cannot have the name %s: %s.", name, reason)}, true
	}
	return Decision{}, false
}

// badName says why a chain cannot have a name, or "".
func badName(name string) string {
	switch {
	case slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"}, name):
		return "it is that of a chain of the kernel's"
	case slices.Contains([]string{"ACCEPT", "DROP", "RETURN", "QUEUE", "REJECT", "LOG", "NFLOG", "MARK"}, name):
		return "it is that of a target"
	case strings.HasPrefix(name, "-") || strings.HasPrefix(name, "!"):
		return "it begins with - or !"
	}
	return ""
}

// rule refuses what is not about the tenant's packets alone.
func (d *decider) rule(r *iptables.Rule) (Decision, bool) {
	why := forbidden(d.tenant.ID, d.chains, r)
	if why == "" {
		why = d.logged(r)
	}
	if why != "" {
		return d.refuse(fmt.Sprintf("%s cannot have this rule, because %s.", d.tenant.ID, why), forward(), []*iptables.Rule{r}), true
	}
	if why = d.foreign(r); why != "" {
		return d.refuse(why, forward(), []*iptables.Rule{r}), true
	}
	return Decision{}, false
}

// DecideSave says what of a file of rules cannot be confined to the tenant's packets: one decision for each rule,
// chain or table. If there are none, the file may replace the tenant's chains.
func DecideSave(host *scope.Host, tenant string, save *iptables.Save, asker Asker) []Decision {
	d, refusal := newDecider(host, tenant, save.Family, asker)
	if d == nil {
		return []Decision{refusal}
	}
	d.chains = declared(save)
	d.know(allRules(save))
	var refused []Decision
	for _, t := range save.Tables {
		for _, c := range t.Chains {
			refused = append(refused, d.savedChain(t, c)...)
		}
		for _, cmd := range t.Commands {
			if decision := d.command(cmd); decision.Verdict == Refused {
				decision.Command = strings.Join(cmd.Words, " ")
				refused = append(refused, decision)
			}
		}
	}
	return refused
}

// allRules returns the rules of all tables.
func allRules(save *iptables.Save) []*iptables.Rule {
	var rules []*iptables.Rule
	for _, t := range save.Tables {
		for _, c := range t.Chains {
			rules = append(rules, c.Rules...)
		}
		for _, cmd := range t.Commands {
			rules = append(rules, cmd.Rules...)
		}
	}
	return rules
}

// declared returns the names of the chains that a file makes.
func declared(save *iptables.Save) []string {
	var names []string
	for _, t := range save.Tables {
		if t.Name != forward().Table {
			continue
		}
		for _, c := range t.Chains {
			if c.Policy == "" && badName(c.Name) == "" {
				names = append(names, c.Name)
			}
		}
		for _, cmd := range t.Commands {
			if cmd.Op == iptables.NewChain {
				names = append(names, cmd.Chain)
			}
		}
	}
	return names
}

func (d *decider) savedChain(t *iptables.Table, c *iptables.Chain) []Decision {
	h := Hook{t.Name, c.Name}
	if h.Table == forward().Table && c.Name != iptables.Base && c.Policy != "" && c.Policy != "DROP" && len(c.Rules) == 0 {
		return nil // INPUT and OUTPUT as they are if nobody changed them
	}
	var refused []Decision
	note := func(decision Decision, command string) {
		decision.Command = command
		refused = append(refused, decision)
	}
	if h.Table != forward().Table || c.Policy != "" && c.Name != iptables.Base {
		cmd := &iptables.Command{Family: d.family, Table: t.Name, Chain: c.Name, Op: iptables.Append, Rules: c.Rules}
		if refusal, no := d.place(h, cmd); no {
			note(refusal, "*"+t.Name+" :"+c.Name)
		}
		return refused
	}
	if c.Policy == "" && badName(c.Name) != "" {
		note(Decision{Reason: fmt.Sprintf("A chain cannot have the name %s: %s.", c.Name, badName(c.Name))}, ":"+c.Name)
	}
	for _, r := range c.Rules {
		if refusal, no := d.rule(r); no {
			note(refusal, "-A "+c.Name+" "+r.String())
		}
	}
	return refused
}
