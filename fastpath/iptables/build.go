// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strconv"
)

// rules returns what the command says as rules: one for each source and destination.
func (p *parser) rules() ([]*Rule, error) {
	r := p.rule
	r.Counters = p.cmd.Counters
	for _, in := range p.loaded {
		options, err := p.normal(in)
		if err != nil {
			return nil, err
		}
		if in.known == nil {
			what := "match"
			if in.target {
				what = "target"
			}
			r.Opaque = "the " + what + " " + in.name + " is not one that iptables comes with"
		}
		if in.target {
			r.Target.Options = options
			continue
		}
		r.Matches = append(r.Matches, Match{Name: in.name, Options: options})
	}
	if len(p.src)*len(p.dst) > maxAddresses || len(p.src) > maxAddresses || len(p.dst) > maxAddresses {
		return nil, p.errorAt(p.given['s'], "the lists of addresses make more than "+strconv.Itoa(maxAddresses)+" rules", "give several commands")
	}
	return p.expand(), nil
}

// expand makes a rule for each source and destination.
func (p *parser) expand() []*Rule {
	src, dst := p.src, p.dst
	if len(src) == 0 {
		src = []Address{{}}
	}
	if len(dst) == 0 {
		dst = []Address{{}}
	}
	var rules []*Rule
	for _, s := range src {
		for _, d := range dst {
			one := *p.rule
			one.Src, one.Dst = s.simple(), d.simple()
			one.Matches = slices.Clone(p.rule.Matches)
			rules = append(rules, &one)
		}
	}
	return rules
}

// simple returns the zero value for an address that does not exclude any.
func (a Address) simple() Address {
	if a.All() {
		return Address{}
	}
	return a
}

// normal returns the options in iptables' order and notation, or as given if nothing is known
// of the match or target.
func (p *parser) normal(in *instance) ([]Option, error) {
	g := &given{p: p, in: in}
	if m, is := matchers[in.name]; is && !in.target {
		options := m.normal(g)
		if g.err == nil {
			g.finish()
		}
		if g.err != nil {
			return nil, g.err
		}
		return options, nil
	}
	var options []Option
	for _, o := range in.options {
		options = append(options, o.Option)
	}
	return options, nil
}

// given are the options of a match that is understood.
type given struct {
	p  *parser
	in *instance
	// used are the names that were asked for.
	used []string
	err  error
}

// fail notes the first error.
func (g *given) fail(at int, reason, hint string) {
	if g.err == nil {
		g.err = g.p.errorAt(at, reason, hint)
	}
}

// option returns the only option with the name, or nil. negatable says whether it may
// have a !.
func (g *given) option(name string, negatable bool) *parsedOption {
	g.used = append(g.used, name)
	var found *parsedOption
	for i := range g.in.options {
		o := &g.in.options[i]
		if o.Name != name {
			continue
		}
		if found != nil {
			g.fail(o.at, g.in.name+": option \""+name+"\" can only be used once", "leave out one, or write two rules")
		}
		if o.Not && !negatable {
			g.fail(o.at, g.in.name+": option \""+name+"\" cannot be inverted", "leave out the !")
		}
		found = o
	}
	return found
}

// finish fails for options that the match does not have, and for a protocol that it needs.
func (g *given) finish() {
	for _, o := range g.in.options {
		if !slices.Contains(g.used, o.Name) {
			g.fail(o.at, "unknown option `"+o.Name+"'", "the match "+g.in.name+" does not have it")
		}
	}
}

// argumentAt returns the index of the word with the option's last argument.
func (g *given) argumentAt(o *parsedOption) int {
	return min(o.at+len(o.Args), len(g.p.words)-1)
}

// needs fails unless the rule is of the protocol that the match is for.
func (g *given) needs(numbers ...uint8) {
	p := g.p.rule.Proto
	if p.Not || !slices.Contains(numbers, p.Number) {
		var names []string
		for _, n := range numbers {
			names = append(names, "-p "+Protocol{Number: n}.text())
		}
		hint := "write " + names[0]
		for _, n := range names[1:] {
			hint += " or " + n
		}
		g.fail(g.in.at, "the match "+g.in.name+" is for one protocol", hint)
	}
}
