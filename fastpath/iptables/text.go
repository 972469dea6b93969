// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// ParseRule parses a rule as iptables-save prints it, without "-A CHAIN". Its errors are
// of type *SyntaxError.
func ParseRule(family header.Family, text string) (*Rule, error) {
	words, err := splitSave(text)
	if err != nil {
		return nil, err
	}
	p := newParser(family, words)
	p.inFile = true
	p.cmd.Op, p.cmd.Chain = Append, Base
	if err := p.run(); err != nil {
		return nil, err
	}
	c, err := p.finish()
	if err != nil {
		return nil, err
	}
	if len(c.Rules) != 1 {
		return nil, p.errorAt(0, "these are several rules", "give one address")
	}
	return c.Rules[0], nil
}

// String returns the rule as iptables-save prints it, without "-A CHAIN" and counters. Two rules are
// the same for iptables if, and only if, their texts are.
func (r *Rule) String() string {
	conditions, target := r.Conditions(), r.Target.String()
	if conditions == "" || target == "" || r.Verbatim != nil {
		return conditions + target
	}
	return conditions + " " + target
}

// Conditions returns the part of [Rule.String] before the target: what a packet must be like.
// A rule with Verbatim, whose target is not known, has all of its text here.
func (r *Rule) Conditions() string {
	var t textOf
	if r.Verbatim != nil {
		for _, w := range r.Verbatim {
			t.words = append(t.words, Quote(w))
		}
		return t.String()
	}
	t.address("-s", r.Src, r.Family)
	t.address("-d", r.Dst, r.Family)
	t.device("-i", r.In)
	t.device("-o", r.Out)
	if r.Proto.Number != 0 {
		t.not(r.Proto.Not)
		t.add("-p", r.Proto.text())
	}
	if r.Fragment != AnyFragment {
		t.not(r.Fragment == NotLaterFragment)
		t.add("-f")
	}
	for _, m := range r.Matches {
		t.add("-m", m.Name)
		t.options(m.Options)
	}
	return t.String()
}

// String returns the target as iptables-save prints it, such as "-j DROP", or "".
func (t *Target) String() string {
	if t.Kind == NoTarget {
		return ""
	}
	var text textOf
	if t.Goto {
		text.add("-g", t.Name)
	} else {
		text.add("-j", t.Name)
	}
	text.options(t.Options)
	return text.String()
}

// Comment returns what the rule's comments say, joined by blanks.
func (r *Rule) Comment() string {
	var all []string
	for i := range r.Matches {
		if o := r.Matches[i].option("--comment"); o != nil && r.Matches[i].Name == "comment" {
			all = append(all, o.Args...)
		}
	}
	return strings.Join(all, " ")
}

// textOf collects words.
type textOf struct{ words []string }

func (t *textOf) String() string      { return strings.Join(t.words, " ") }
func (t *textOf) add(words ...string) { t.words = append(t.words, words...) }

func (t *textOf) not(not bool) {
	if not {
		t.add("!")
	}
}

func (t *textOf) address(option string, a Address, f header.Family) {
	if !a.All() {
		t.not(a.Not)
		t.add(option, a.text(f))
	}
}

func (t *textOf) device(option string, i Interface) {
	if i.Name != "" {
		t.not(i.Not)
		t.add(option, i.Name)
	}
}

func (t *textOf) options(options []Option) {
	for _, o := range options {
		t.not(o.Not)
		t.add(o.Name)
		for _, arg := range o.Args {
			t.add(argument(o.Name, arg))
		}
	}
}
