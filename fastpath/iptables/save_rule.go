// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strings"
)

// command reads a line such as "[1:84] -A FORWARD -j DROP".
func (s *saveParser) command(line string) error {
	text, column := line, 0
	var counters *Counters
	if line[0] == '[' {
		first, _, _ := strings.Cut(line, " ")
		c, ok := bracketed(first)
		if !ok {
			return s.fail(line, "the counters "+first+" are not valid", "write [PACKETS:BYTES]")
		}
		counters = &c
		text = strings.TrimLeft(line[len(first):], " \t")
		column = len(line) - len(text)
	}
	words, err := splitSave(text)
	if err != nil {
		return s.at(err, column)
	}
	c, err := s.parseWords(words)
	if err != nil {
		if opaque := s.opaque(words, err); opaque != nil {
			opaque.Counters, opaque.source = counters, ruleText(text, words)
			return s.append(words[1].text, opaque)
		}
		return s.at(err, column)
	}
	for _, r := range c.Rules {
		r.Line = s.number
		if counters != nil {
			r.Counters = counters
		}
	}
	if c.Op != Append || len(s.table.Commands) > 0 {
		s.table.Commands = append(s.table.Commands, c)
		return nil
	}
	if len(c.Rules) == 1 && words[0].text == "-A" {
		c.Rules[0].source = ruleText(text, words)
	}
	return s.append(c.Chain, c.Rules...)
}

// ruleText returns the part of a line after "-A CHAIN".
func ruleText(text string, words []word) string {
	if len(words) < 3 {
		return ""
	}
	return text[words[2].column:]
}

func (s *saveParser) parseWords(words []word) (*Command, error) {
	p := newParser(s.save.Family, words)
	p.inFile = true
	p.cmd.Table = s.table.Name
	if err := p.run(); err != nil {
		return nil, err
	}
	c, err := p.finish()
	if err != nil {
		return nil, err
	}
	if !c.Op.Edits() {
		return nil, p.errorAt(0, c.Op.String()+" is not valid in a file", "give it as a command")
	}
	for _, w := range words {
		c.Words = append(c.Words, w.text)
	}
	return c, nil
}

// opaque returns a rule of which nothing is understood, or nil if the line is not a rule or all
// lines are to be understood.
func (s *saveParser) opaque(words []word, err error) *Rule {
	if !s.lenient || len(words) < 3 || words[0].text != "-A" || !validName(words[1].text) || len(words[1].text) > maxChainName {
		return nil
	}
	r := &Rule{Family: s.save.Family, Opaque: err.Error(), Verbatim: []string{}, Line: s.number}
	for _, w := range words[2:] {
		r.Verbatim = append(r.Verbatim, w.text)
	}
	return r
}

// append adds rules to a chain, which must be declared or built in.
func (s *saveParser) append(chain string, rules ...*Rule) error {
	c := s.table.Chain(chain)
	if c == nil {
		if !s.lenient && !slices.Contains(builtIn(s.table.Name), chain) {
			return s.fail(chain, "No chain/target/match by that name.", "declare the chain with a line :"+chain+" - [0:0]")
		}
		c = &Chain{Name: chain}
		if slices.Contains(builtIn(s.table.Name), chain) {
			c.Policy = "ACCEPT"
		}
		s.table.Chains = append(s.table.Chains, c)
	}
	c.Rules = append(c.Rules, rules...)
	return nil
}
