// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxChainName is how many bytes the name of a chain may have.
const maxChainName = 28

// operation reads -A and its like.
func (p *parser) operation(at int, letter byte, value string, hasValue bool) error {
	op := Op(strings.IndexByte("?AIDRCNXFPZELS", letter))
	if p.cmd.Op != 0 {
		return p.combine(at, op, value, hasValue)
	}
	p.cmd.Op = op
	if strings.IndexByte(optionalArgument, letter) >= 0 && !hasValue && p.hasArgument() {
		value = p.words[p.at].text
		p.at++
	}
	p.cmd.Chain = value
	if value != "" || strings.IndexByte(optionalArgument, letter) < 0 {
		if err := p.chainName(p.at-1, value); err != nil {
			return err
		}
	}
	switch op {
	case Delete, List, ListRules, Zero, Insert, Replace:
		return p.place(at)
	case Rename:
		if !p.hasArgument() {
			return p.errorAt(p.at, "-E requires old-chain-name and new-chain-name", "write both")
		}
		p.cmd.NewName = p.words[p.at].text
		p.at++
		return p.newChain(p.at-1, p.cmd.NewName)
	case NewChain:
		return p.newChain(p.at-1, value)
	case SetPolicy:
		if !p.hasArgument() {
			return p.errorAt(p.at, "-P requires a chain and a policy", "write ACCEPT or DROP after the chain")
		}
		p.cmd.Policy = p.words[p.at].text
		p.at++
		if p.cmd.Policy != "ACCEPT" && p.cmd.Policy != "DROP" {
			return p.errorAt(p.at-1, "Bad policy name `"+p.cmd.Policy+"'", "a policy is ACCEPT or DROP")
		}
	}
	return nil
}

// combine reads a second operation: only -Z goes with -L and -S. It counts as the listing, so
// it is refused rather than half done.
func (p *parser) combine(at int, op Op, _ string, _ bool) error {
	if (op == Zero) != (p.cmd.Op == Zero) && (slices.Contains([]Op{List, ListRules}, p.cmd.Op) || op == List || op == ListRules) {
		return p.errorAt(at, p.cmd.Op.String()+" and "+op.String()+" cannot be done at once", "give two commands")
	}
	return p.errorAt(at, "Cannot use "+op.String()+" with "+p.cmd.Op.String(), "give one command at a time")
}

// place reads the number after the chain, if there is one.
func (p *parser) place(at int) error {
	op := p.cmd.Op
	if !p.hasArgument() {
		switch op {
		case Insert:
			p.cmd.Number = 1
		case Replace:
			return p.errorAt(p.at, "-R requires a rule number", "write the number of the rule after the chain, as -L --line-numbers shows it")
		}
		return nil
	}
	if p.cmd.Chain == "" {
		return p.errorAt(at, "a rule number needs a chain", "write the chain before it")
	}
	n, err := p.number(p.at)
	p.cmd.Number = n
	p.at++
	return err
}

// chainName checks the name of a chain that is to be there.
func (p *parser) chainName(at int, name string) error {
	if !validName(name) {
		return p.errorAt(at, "`"+name+"' is not a valid name of a chain", "write the chain after "+p.cmd.Op.String())
	}
	if len(name) > maxChainName {
		return p.errorAt(at, "chain name `"+name+"' too long (must be under "+strconv.Itoa(maxChainName+1)+" chars)", "use a shorter one")
	}
	return nil
}

// newChain checks a name for a new chain.
func (p *parser) newChain(at int, name string) error {
	if err := p.chainName(at, name); err != nil {
		return err
	}
	if _, is := targetOptions[name]; is || slices.Contains(verdicts, name) || name == "CONTINUE" {
		return p.errorAt(at, "chain name may not clash with target name", "`"+name+"' is a target: use another name")
	}
	return nil
}

// finish makes the command of what was read.
func (p *parser) finish() (*Command, error) {
	c := p.cmd
	if c.Op == 0 {
		return nil, p.errorAt(len(p.words), "no command specified", "write what to do, such as -A FORWARD")
	}
	withRule := slices.Contains([]Op{Append, Insert, Replace, Check}, c.Op) || c.Op == Delete && c.Number == 0
	if err := p.misplaced(withRule); err != nil {
		return nil, err
	}
	if !withRule {
		return c, nil
	}
	rules, err := p.rules()
	if err != nil {
		return nil, err
	}
	if c.Op == Replace && len(rules) != 1 {
		return nil, p.errorAt(p.given['R'], "Replacement rule does not specify a unique address", "give one address")
	}
	c.Rules = rules
	return c, nil
}

// misplaced finds options that have no place in the command.
func (p *parser) misplaced(withRule bool) error {
	allowed := "tvwW46"
	switch {
	case withRule:
		allowed += "sdpiofmjgc"
	case p.cmd.Op == SetPolicy:
		allowed += "c"
	}
	if p.cmd.Op == List || p.cmd.Op == ListRules {
		allowed += "nx0"
	} else {
		allowed += "nx" // iptables takes them for nothing
	}
	for _, letter := range slices.Sorted(maps.Keys(p.given)) {
		at := p.given[letter]
		if strings.IndexByte(allowed, letter) < 0 && strings.IndexByte("?AIDRCNXFPZELS", letter) < 0 {
			return p.errorAt(at, "Illegal option `"+p.words[at].text+"' with "+p.cmd.Op.String(), "leave it out")
		}
	}
	hooks := map[string]byte{"INPUT": 'o', "PREROUTING": 'o', "OUTPUT": 'i', "POSTROUTING": 'i'}
	if letter, is := hooks[p.cmd.Chain]; is {
		if at, given := p.given[letter]; given {
			return p.errorAt(at, "Can't use -"+string(letter)+" with "+p.cmd.Chain, "leave it out")
		}
	}
	return nil
}
