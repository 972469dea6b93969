// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strconv"
)

// add does -A, -I and -R.
func (ch *Chain) add(cmd *Command) error {
	n := cmd.Number
	switch {
	case cmd.Op == Insert && n > len(ch.Rules)+1:
		return &EditError{"Index of insertion too big.", "The chain has " + rulesText(len(ch.Rules)) + "."}
	case cmd.Op == Replace && n > len(ch.Rules):
		return &EditError{"Index of replacement too big.", "The chain has " + rulesText(len(ch.Rules)) + "."}
	}
	for _, r := range cmd.Rules {
		one := *r
		one.ID = 0
		switch cmd.Op {
		case Append:
			ch.Rules = append(ch.Rules, &one)
		case Insert:
			ch.Rules = slices.Insert(ch.Rules, n-1, &one)
		case Replace:
			ch.Rules[n-1] = &one
		}
	}
	return nil
}

func rulesText(n int) string {
	switch n {
	case 0:
		return "no rules"
	case 1:
		return "1 rule"
	}
	return strconv.Itoa(n) + " rules"
}

// remove does -D and -C.
func (ch *Chain) remove(cmd *Command) error {
	if cmd.Number > 0 {
		if cmd.Number > len(ch.Rules) {
			return &EditError{"Index of deletion too big.", "The chain has " + rulesText(len(ch.Rules)) + "."}
		}
		ch.Rules = slices.Delete(ch.Rules, cmd.Number-1, cmd.Number)
		return nil
	}
	for _, r := range cmd.Rules {
		i := ch.find(r)
		if i < 0 {
			return &EditError{"Bad rule (does a matching rule exist in that chain?).", "List the rules with -S " + ch.Name + "."}
		}
		if cmd.Op == Delete {
			ch.Rules = slices.Delete(ch.Rules, i, i+1)
		}
	}
	return nil
}

// find returns the index of the first rule that says the same, or -1.
func (ch *Chain) find(r *Rule) int {
	text := r.String()
	return slices.IndexFunc(ch.Rules, func(o *Rule) bool { return o.String() == text })
}

// zero forgets the counters that rules were given: of one rule, or of all if number is 0.
func (ch *Chain) zero(number int) error {
	if number > len(ch.Rules) {
		return &EditError{"Index of zeroing too big.", "The chain has " + rulesText(len(ch.Rules)) + "."}
	}
	for i, r := range ch.Rules {
		if number == 0 || i == number-1 {
			r.Counters = nil
		}
	}
	if number == 0 {
		ch.Counters = Counters{}
	}
	return nil
}

// check finds rules that go to a chain that is not there, and loops.
func (c *Chains) check() error {
	state := map[string]int{}
	var visit func(ch *Chain) error
	visit = func(ch *Chain) error {
		state[ch.Name] = 1
		for _, r := range ch.Rules {
			if r.Target.Kind != ToChain {
				continue
			}
			to := c.Get(r.Target.Name)
			switch {
			case to == nil:
				return noChain(r.Target.Name)
			case to.Name == Base:
				return &EditError{"Invalid argument.", "A rule cannot go to the built-in chain FORWARD."}
			case state[to.Name] == 1:
				return &EditError{"Too many levels of symbolic links.", "The chains " + ch.Name + " and " + to.Name + " go round in a circle: leave out one of the jumps."}
			case state[to.Name] == 0:
				if err := visit(to); err != nil {
					return err
				}
			}
		}
		state[ch.Name] = 2
		return nil
	}
	for _, ch := range c.List {
		if state[ch.Name] == 0 {
			if err := visit(ch); err != nil {
				return err
			}
		}
	}
	return nil
}

// Restore replaces all chains by those of a file, as iptables-restore does, or returns an
// *EditError and changes nothing. A rule equal to one that is there, in the same chain, keeps its
// ID. Of tables other than filter, and of chains other than FORWARD and own ones, the file may
// only say that they are empty and accept everything.
func (c *Chains) Restore(s *Save) error {
	next := NewChains(c.Family)
	for _, t := range s.Tables {
		for _, ch := range t.Chains {
			if t.Name == "filter" && (ch.Name == Base || ch.Policy == "") {
				next.take(ch)
				continue
			}
			if len(ch.Rules) > 0 || ch.Policy == "DROP" {
				return &EditError{"Table or chain is not the tenant's.", "Leave out the chain " + ch.Name + " of the table " + t.Name + ": a tenant has FORWARD of the table filter, and its own chains."}
			}
		}
		if t.Name != "filter" && len(t.Commands) > 0 {
			return &EditError{"Table or chain is not the tenant's.", "Leave out the table " + t.Name + "."}
		}
	}
	if t := s.Table("filter"); t != nil {
		for _, cmd := range t.Commands {
			if err := next.apply(cmd); err != nil {
				return err
			}
		}
	}
	if err := next.check(); err != nil {
		return err
	}
	next.keepIDs(c)
	c.List = next.List
	return nil
}

// take adds a copy of a chain of a file.
func (c *Chains) take(ch *Chain) {
	own := c.Get(ch.Name)
	if own == nil {
		own = &Chain{Name: ch.Name}
		c.List = append(c.List, own)
	}
	if ch.Policy != "" {
		own.Policy = ch.Policy
	}
	own.Counters = ch.Counters
	for _, r := range ch.Rules {
		one := *r
		one.ID = 0
		own.Rules = append(own.Rules, &one)
	}
}

// keepIDs gives rules the IDs of equal ones of the same chain, each ID once.
func (c *Chains) keepIDs(old *Chains) {
	for _, ch := range c.List {
		before := old.Get(ch.Name)
		if before == nil {
			continue
		}
		ids := map[string][]uint32{}
		for _, r := range before.Rules {
			ids[r.String()] = append(ids[r.String()], r.ID)
		}
		for _, r := range ch.Rules {
			if text := r.String(); len(ids[text]) > 0 {
				r.ID = ids[text][0]
				ids[text] = ids[text][1:]
			}
		}
	}
}
