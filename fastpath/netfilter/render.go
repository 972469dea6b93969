// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"fmt"
	"strconv"
	"strings"
)

// block is a chain as it is written.
type block struct {
	name  string
	lines []line
}

// line is one rule of a block, without its chain.
type line struct {
	text  string
	count Count
	// rule is the tenant's rule that it is for, or nil.
	rule *Rule
}

// renderer turns a layout into blocks.
type renderer struct {
	*Layout
	base string
	// names are of the tenant's chains in iptables, by the tenant's name for them.
	names map[string]string
	// accepts are those of the tenant's chains from which ACCEPT may be reached.
	accepts map[string]bool
	// before are the counts of what is installed.
	before map[uint32]Count
	extra  []block
	// returns is set if a rule of the first chain returns to the policy.
	returns bool
}

// maxRuleText is how long a rule may be, in bytes. iptables-restore reads 10,239 bytes at a time and
// takes what is left of a longer line for a line of its own, which could then say anything, such as
// the policy of the host's FORWARD. The difference is for what dwell adds to a rule.
const maxRuleText = 8192

// blocks returns the tenant's chains.
func (l *Layout) blocks(before map[uint32]Count) ([]block, error) {
	r := &renderer{Layout: l, base: ChainName(l.ID, l.Number), before: before}
	if err := r.check(); err != nil {
		return nil, err
	}
	r.accepts = r.reachAccept()
	blocks := []block{r.from(), r.to()}
	for i := range l.Chains {
		blocks = append(blocks, r.chain(&l.Chains[i]))
	}
	if r.returns {
		r.extra = append(r.extra, block{r.base + endSuffix, []line{r.policy(Count{})}})
	}
	return append(blocks, r.extra...), nil
}

// check names the chains, and finds what cannot be written.
func (r *renderer) check() error {
	r.names = map[string]string{}
	for i := range r.Chains {
		name := r.Chains[i].Name
		if _, ok := r.names[name]; ok {
			return fmt.Errorf("chain %s of tenant %s is there twice", name, r.ID)
		}
		r.names[name] = r.base + ownSuffix + strconv.Itoa(i)
	}
	if _, ok := r.names[r.Base]; !ok {
		return fmt.Errorf("tenant %s has no chain %s", r.ID, r.Base)
	}
	r.names[r.Base] = r.base
	if len(r.Chains) > maxChains {
		return fmt.Errorf("tenant %s has %d chains: use at most %d", r.ID, len(r.Chains), maxChains)
	}
	if chain := r.NeedsBit(); chain != "" && r.Bit == 0 {
		return &BitError{Chain: chain}
	}
	for i := range r.Chains {
		for _, rule := range r.Chains[i].Rules {
			if rule.Target == r.Base {
				return &RuleError{ID: rule.ID, Chain: r.Chains[i].Name, Text: "a rule cannot jump to " + r.Base}
			}
			if strings.ContainsAny(rule.Matches+rule.Target+rule.Options, "\n\x00") {
				return &RuleError{ID: rule.ID, Chain: r.Chains[i].Name, Text: "a rule has one line"}
			}
			if n := len(rule.Matches) + len(rule.Target) + len(rule.Options); n > maxRuleText {
				return &RuleError{ID: rule.ID, Chain: r.Chains[i].Name, Text: fmt.Sprintf("the rule is %d bytes long: write it with at most %d, such as with shorter comments", n, maxRuleText)}
			}
		}
	}
	return nil
}

// reachAccept returns the chains from which ACCEPT is reached, other than the first.
func (r *renderer) reachAccept() map[string]bool {
	accepts := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for i := range r.Chains {
			c := &r.Chains[i]
			if c.Name == r.Base || accepts[c.Name] {
				continue
			}
			for _, rule := range c.Rules {
				if rule.Target == accept || accepts[rule.Target] {
					accepts[c.Name], changed = true, true
					break
				}
			}
		}
	}
	return accepts
}

// from is the chain for packets from the tenant.
func (r *renderer) from() block {
	b := block{name: r.base + fromSuffix}
	b.ask(r.Programs.FromTagged, ret)
	b.ask(r.Programs.FromPass, ret)
	b.ask(r.Programs.FromDrop, drop)
	r.enter(&b)
	return b
}

// to is the chain for packets to the tenant that do not come from it.
func (r *renderer) to() block {
	b := block{name: r.base + toSuffix}
	for _, device := range r.Devices {
		b.add("-i " + quote(device) + " -j " + ret)
	}
	b.ask(r.Programs.ToPass, ret)
	b.ask(r.Programs.ToDrop, drop)
	r.enter(&b)
	return b
}

// enter leads to the tenant's first chain. A bit that somebody set in spite of all must not
// keep the rules from being asked.
func (r *renderer) enter(b *block) {
	if len(r.accepts) == 0 {
		b.add("-j " + r.base)
		return
	}
	clearBit := fmt.Sprintf("-m mark --mark %s -j MARK --set-xmark 0x0/%#x", r.bit(), r.Bit)
	b.add(clearBit)
	b.add("-j " + r.base)
	b.add(clearBit)
}

// bit returns the bit as value and mask.
func (r *renderer) bit() string { return fmt.Sprintf("%#x/%#x", r.Bit, r.Bit) }

// chain writes one of the tenant's.
func (r *renderer) chain(c *Chain) block {
	b := block{name: r.names[c.Name], lines: make([]line, 0, len(c.Rules)+1)}
	for i := range c.Rules {
		r.rule(&b, c, &c.Rules[i])
	}
	if c.Name == r.Base {
		b.lines = append(b.lines, r.policy(r.count(PolicyID, r.PolicyCount)))
	}
	return b
}

// policy is the rule at the end of the first chain.
func (r *renderer) policy(count Count) line {
	target := ret
	if r.Drop {
		target = drop
	}
	return line{text: r.comment(PolicyID) + " -j " + target, count: count}
}

// rule writes one rule and what has to follow it.
func (r *renderer) rule(b *block, c *Chain, rule *Rule) {
	jump, more := r.target(b, c, rule)
	text := join(rule.Matches, r.comment(rule.ID), jump)
	b.lines = append(b.lines, line{text: text, count: r.count(rule.ID, rule.Count), rule: rule})
	if more {
		b.add("-m mark --mark " + r.bit() + " -j " + ret)
	}
}

// target returns the target of a rule, and whether a rule must follow that returns if the bit
// is set.
func (r *renderer) target(b *block, c *Chain, rule *Rule) (jump string, more bool) {
	first := c.Name == r.Base
	name, own := r.names[rule.Target]
	switch {
	case own && rule.Goto && first:
		return "-g " + r.visit(name, r.accepts[rule.Target]), false
	case own && rule.Goto:
		return "-g " + name, false
	case own:
		return "-j " + name, r.accepts[rule.Target]
	case rule.Target == "":
		return "", false
	case rule.Target == accept && first:
		return "-j " + ret, false
	case rule.Target == accept:
		return "-j MARK --set-xmark " + r.bit(), true
	case rule.Target == ret && first:
		r.returns = true
		return "-g " + b.name + endSuffix, false
	}
	return join("-j", rule.Target, rule.Options), false
}

// visit returns a chain that goes through another and then to the policy, which is where a
// packet comes that the first chain has sent away with -g.
func (r *renderer) visit(name string, accepts bool) string {
	v := block{name: r.base + gotoSuffix + strconv.Itoa(len(r.extra))}
	v.add("-j " + name)
	if accepts {
		v.add("-m mark --mark " + r.bit() + " -j " + ret)
	}
	v.lines = append(v.lines, r.policy(Count{}))
	r.extra = append(r.extra, v)
	return v.name
}

func (r *renderer) count(id uint32, given Count) Count {
	if present, ok := r.before[id]; ok {
		return present
	}
	return given
}

// commentBegin is what stands before a rule's ID.
const commentBegin = root + ":"

func (*renderer) comment(id uint32) string {
	return fmt.Sprintf("-m comment --comment \"%s%d\"", commentBegin, id)
}

func (b *block) add(text string) { b.lines = append(b.lines, line{text: text}) }

// ask adds a rule that asks a program, if there is one.
func (b *block) ask(program, target string) {
	if program != "" {
		b.add("-m bpf --object-pinned " + quote(program) + " -j " + target)
	}
}

func join(words ...string) string {
	var some []string
	for _, w := range words {
		if w != "" {
			some = append(some, w)
		}
	}
	return strings.Join(some, " ")
}

// quote returns a word as iptables-restore reads it.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"'\\#") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
