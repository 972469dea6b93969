// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Chain is a chain of rules.
type Chain struct {
	Name string
	// Policy is ACCEPT or DROP for a built-in chain, and "" for others.
	Policy string
	// Counters are those of the policy.
	Counters Counters
	Rules    []*Rule
}

// Chains are the chains of a tenant's table filter for one family: FORWARD, and the tenant's
// own.
type Chains struct {
	Family header.Family
	// List has FORWARD first, then the others in the order in which they were made.
	List []*Chain
}

// Base is the built-in chain that a tenant has.
const Base = "FORWARD"

// NewChains returns an empty FORWARD with policy ACCEPT.
func NewChains(family header.Family) *Chains {
	return &Chains{Family: family, List: []*Chain{{Name: Base, Policy: "ACCEPT"}}}
}

// Get returns the chain with the name, or nil.
func (c *Chains) Get(name string) *Chain {
	i := slices.IndexFunc(c.List, func(ch *Chain) bool { return ch.Name == name })
	if i < 0 {
		return nil
	}
	return c.List[i]
}

// Clone returns a copy that shares nothing that [Chains.Apply] modifies.
func (c *Chains) Clone() *Chains {
	copied := &Chains{Family: c.Family}
	for _, ch := range c.List {
		one := *ch
		one.Rules = make([]*Rule, len(ch.Rules))
		for i, r := range ch.Rules {
			rule := *r
			one.Rules[i] = &rule
		}
		copied.List = append(copied.List, &one)
	}
	return copied
}

// EditError is a command that is valid but cannot be done.
type EditError struct {
	// Reason is what iptables says, such as "No chain/target/match by that name."
	Reason string
	// Hint says what to do, as a sentence.
	Hint string
}

// Error returns reason and hint.
func (e *EditError) Error() string { return e.Reason + " " + e.Hint }

// noChain says that there is no chain with the name.
func noChain(name string) *EditError {
	if slices.Contains(builtIn("filter"), name) {
		return &EditError{"No chain/target/match by that name.", "A tenant has no chain " + name + ": only FORWARD, and those that it makes with -N."}
	}
	hint := "Make the chain first with -N " + name + "."
	if meant := similar(name, append(slices.Collect(maps.Keys(targetOptions)), verdicts...)); meant != "" {
		hint = "Did you mean " + meant + "?"
	}
	return &EditError{"No chain/target/match by that name.", hint}
}

// Apply does what an editing command says, or returns an *EditError and changes nothing. A
// Check is an error if there is no such rule. List and ListRules do nothing. The rules that it
// adds are those of the command, with ID 0. The command must be of the family and of the table
// filter.
func (c *Chains) Apply(cmd *Command) error {
	next := c.Clone()
	if err := next.apply(cmd); err != nil {
		return err
	}
	if cmd.Op.Edits() {
		if err := next.check(); err != nil {
			return err
		}
		c.List = next.List
	}
	return nil
}

func (c *Chains) apply(cmd *Command) error {
	if cmd.Family != c.Family || cmd.Table != "filter" {
		return &EditError{"Table does not exist.", "These are the chains of the table filter of one version of IP."}
	}
	switch cmd.Op {
	case NewChain:
		return c.newChain(cmd.Chain)
	case Flush, DeleteChain, Zero, List, ListRules:
		if cmd.Chain == "" {
			return c.applyAll(cmd.Op)
		}
	}
	chain := c.Get(cmd.Chain)
	if chain == nil {
		return noChain(cmd.Chain)
	}
	switch cmd.Op {
	case Append, Insert, Replace:
		return chain.add(cmd)
	case Delete, Check:
		return chain.remove(cmd)
	case Flush:
		chain.Rules = nil
	case DeleteChain:
		return c.deleteChain(chain)
	case SetPolicy:
		if chain.Name != Base {
			return &EditError{"Bad built-in chain name.", "Only FORWARD has a policy: end the chain with a rule instead."}
		}
		chain.Policy = cmd.Policy
		if cmd.Counters != nil {
			chain.Counters = *cmd.Counters
		}
	case Zero:
		return chain.zero(cmd.Number)
	case Rename:
		return c.rename(chain, cmd.NewName)
	}
	return nil
}

// applyAll does what names no chain.
func (c *Chains) applyAll(op Op) error {
	switch op {
	case Flush:
		for _, chain := range c.List {
			chain.Rules = nil
		}
	case Zero:
		for _, chain := range c.List {
			_ = chain.zero(0)
		}
	case DeleteChain:
		for _, chain := range c.List[1:] {
			if len(chain.Rules) > 0 {
				return &EditError{"Directory not empty.", "The chain " + chain.Name + " has rules: flush it first with -F " + chain.Name + "."}
			}
		}
		c.List = c.List[:1]
	}
	return nil
}

func (c *Chains) newChain(name string) error {
	if c.Get(name) != nil || slices.Contains(builtIn("filter"), name) {
		return &EditError{"Chain already exists.", "Use another name."}
	}
	c.List = append(c.List, &Chain{Name: name})
	return nil
}

func (c *Chains) deleteChain(chain *Chain) error {
	switch {
	case chain.Name == Base:
		return &EditError{"Invalid argument.", "FORWARD is built in: flush it with -F FORWARD."}
	case len(chain.Rules) > 0:
		return &EditError{"Directory not empty.", "Flush the chain first with -F " + chain.Name + "."}
	case c.references(chain.Name) > 0:
		return &EditError{"Too many links.", "Rules still go to the chain: delete them first."}
	}
	c.List = slices.DeleteFunc(c.List, func(ch *Chain) bool { return ch == chain })
	return nil
}

// references counts the rules that go to a chain.
func (c *Chains) references(name string) int {
	n := 0
	for _, ch := range c.List {
		for _, r := range ch.Rules {
			if r.Target.Kind == ToChain && r.Target.Name == name {
				n++
			}
		}
	}
	return n
}

func (c *Chains) rename(chain *Chain, name string) error {
	if chain.Name == Base {
		return &EditError{"Invalid argument.", "FORWARD is built in and keeps its name."}
	}
	if c.Get(name) != nil || slices.Contains(builtIn("filter"), name) {
		return &EditError{"File exists.", "There is a chain " + name + ": use another name."}
	}
	for _, ch := range c.List {
		for _, r := range ch.Rules {
			if r.Target.Kind == ToChain && r.Target.Name == chain.Name {
				r.Target.Name = name
				r.source = ""
			}
		}
	}
	chain.Name = name
	return nil
}
