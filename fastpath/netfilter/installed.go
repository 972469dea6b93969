// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Installed is what stands in table filter of dwell's.
type Installed struct {
	Family header.Family
	// Jump is the place of the jump to dwell among FORWARD's rules, from 1; 0 if there is none.
	Jump int
	// Before are FORWARD's rules that stand before it, as iptables-save prints them.
	Before []string
	// Chains are the rules of dwell's chains, without counters and "-A CHAIN", by the chain's
	// name.
	Chains map[string][]string

	jumps      int // how many jumps there are
	rootCounts []Count
	counts     map[string]map[uint32]Count // by chain
}

// parseInstalled reads the text of iptables-save -c.
func parseInstalled(family header.Family, text string) (*Installed, error) {
	i := &Installed{Family: family, Chains: map[string][]string{}, counts: map[string]map[uint32]Count{}}
	table, place := "", 0
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		switch {
		case strings.HasPrefix(l, "*"):
			table = l[1:]
		case table != "filter":
		case strings.HasPrefix(l, ":"):
			if name, _, _ := strings.Cut(l[1:], " "); Ours(name) {
				i.Chains[name] = nil
			}
		case strings.HasPrefix(l, "["):
			chain, rule, count, err := parseRule(l)
			if err != nil {
				return nil, err
			}
			if chain == forward {
				place++
				i.inForward(place, rule)
			} else if Ours(chain) {
				i.enter(chain, rule, count)
			}
		}
	}
	return i, nil
}

// parseRule takes "[packets:bytes] -A CHAIN rule" apart.
func parseRule(l string) (chain, rule string, count Count, err error) {
	counters, rest, ok := strings.Cut(strings.TrimPrefix(l, "["), "] -A ")
	packets, bytes, two := strings.Cut(counters, ":")
	if ok && two {
		if count.Packets, err = strconv.ParseUint(packets, 10, 64); err == nil {
			count.Bytes, err = strconv.ParseUint(bytes, 10, 64)
		}
	}
	if !ok || !two || err != nil {
		return "", "", count, fmt.Errorf("iptables-save printed %.100q, which is not a valid rule with counters", l)
	}
	chain, rule, _ = strings.Cut(rest, " ")
	return chain, rule, count, nil
}

// inForward notes a rule of FORWARD.
func (i *Installed) inForward(place int, rule string) {
	if rule == "-j "+root {
		i.jumps++
		if i.Jump == 0 {
			i.Jump = place
		}
	} else if i.Jump == 0 {
		i.Before = append(i.Before, rule)
	}
}

// enter notes a rule of a chain of dwell's.
func (i *Installed) enter(chain, rule string, count Count) {
	i.Chains[chain] = append(i.Chains[chain], rule)
	if chain == root {
		i.rootCounts = append(i.rootCounts, count)
	}
	id, ok := idOf(rule)
	if !ok {
		return
	}
	if i.counts[chain] == nil {
		i.counts[chain] = map[uint32]Count{}
	}
	c := i.counts[chain][id]
	i.counts[chain][id] = Count{c.Packets + count.Packets, c.Bytes + count.Bytes}
}

// idOf returns the ID that dwell's comment in a rule says. It stands right before the target,
// so that no text of the tenant's is taken for it.
func idOf(rule string) (uint32, bool) {
	words := append(fields(rule), "-j") // a rule without a target ends with the comment
	for end := 4; end < len(words); end++ {
		if words[end] != "-j" && words[end] != "-g" || !slices.Equal(words[end-4:end-1], []string{"-m", "comment", "--comment"}) {
			continue
		}
		if digits, ok := strings.CutPrefix(words[end-1], commentBegin); ok {
			id, err := strconv.ParseUint(digits, 10, 32)
			return uint32(id), err == nil
		}
	}
	return 0, false
}

// fields returns the words of a rule as iptables-save prints it, without the quotes.
func fields(rule string) []string {
	var words []string
	for rest := strings.TrimLeft(rule, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		var word string
		if rest[0] == '"' {
			word, rest = unquote(rest[1:])
		} else {
			word, rest, _ = strings.Cut(rest, " ")
		}
		words = append(words, word)
	}
	return words
}

// unquote returns what stands before the closing quote, and the rest.
func unquote(s string) (word, rest string) {
	var b strings.Builder
	for n := 0; n < len(s); n++ {
		switch {
		case s[n] == '"':
			return b.String(), s[n+1:]
		case s[n] == '\\' && n+1 < len(s):
			n++
		}
		b.WriteByte(s[n])
	}
	return b.String(), ""
}

// Tenant returns what the rules of a tenant have counted, by ID; nil if it has no chains. The
// count of [PolicyID] is what reached the policy.
func (i *Installed) Tenant(id string, number uint32) map[uint32]Count {
	base := ChainName(id, number)
	if _, ok := i.Chains[base]; !ok {
		return nil
	}
	counts := map[uint32]Count{}
	for chain, byID := range i.counts {
		if !owns(base, chain) {
			continue
		}
		for rule, c := range byID {
			sum := counts[rule]
			counts[rule] = Count{sum.Packets + c.Packets, sum.Bytes + c.Bytes}
		}
	}
	return counts
}

// Drift says in sentences what differs from what should be there for the tenant, because
// somebody flushed, moved or edited it. nil if nothing does.
func (i *Installed) Drift(want *Installed, id string, number uint32) []string {
	base := ChainName(id, number)
	var drift []string
	note := func(format string, args ...any) { drift = append(drift, fmt.Sprintf(format, args...)) }
	switch {
	case i.Jump == 0:
		note("the jump from FORWARD to %s is missing: somebody flushed FORWARD or deleted it", root)
	case i.Jump > 1:
		note("the jump to %s is rule %d of FORWARD: somebody inserted %q before it", root, i.Jump, i.Before[0])
	case i.jumps > 1:
		note("FORWARD jumps to %s %d times", root, i.jumps)
	}
	for _, rule := range i.Chains[root] {
		if jumpOf(rule) == "" {
			note("chain %s has %q, which is not dwell's", root, rule)
		}
	}
	if !slices.Equal(i.jumpsTo(base), want.jumpsTo(base)) {
		note("the jumps from %s to %s differ from what dwell wrote", root, base)
	}
	for chain, rules := range want.Chains {
		if !owns(base, chain) {
			continue
		}
		if got, ok := i.Chains[chain]; !ok {
			note("chain %s is missing", chain)
		} else if !slices.Equal(got, rules) {
			note("chain %s has %s", chain, difference(got, rules))
		}
	}
	for chain := range i.Chains {
		if _, ok := want.Chains[chain]; !ok && owns(base, chain) {
			note("chain %s is not dwell's", chain)
		}
	}
	slices.Sort(drift)
	return drift
}

// jumpsTo returns the rules of the chain dwell that lead to the tenant's chains.
func (i *Installed) jumpsTo(base string) []string {
	var jumps []string
	for _, rule := range i.Chains[root] {
		if owns(base, jumpOf(rule)) {
			jumps = append(jumps, rule)
		}
	}
	return jumps
}

// difference says where two chains differ first.
func difference(got, want []string) string {
	for n := range max(len(got), len(want)) {
		switch {
		case n >= len(got):
			return fmt.Sprintf("%d rules of %d: %q is missing", len(got), len(want), want[n])
		case n >= len(want):
			return fmt.Sprintf("%d rules in place of %d: %q is not dwell's", len(got), len(want), got[n])
		case got[n] != want[n]:
			return fmt.Sprintf("%q as rule %d in place of %q", got[n], n+1, want[n])
		}
	}
	return "other rules"
}
