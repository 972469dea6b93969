// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Save is a text in the format of iptables-save and iptables-restore.
type Save struct {
	Family header.Family
	Tables []*Table
	// text is what was parsed.
	text string
}

// Table is one table of a Save, from *NAME to COMMIT.
type Table struct {
	Name string
	// Chains are all chains that the table declares, or whose rules it has, in order.
	Chains []*Chain
	// Commands are what iptables-restore takes but iptables-save does not print, such as -I,
	// and all commands after it. They come after what Chains have.
	Commands []*Command
	// Line is the number of the line of *NAME.
	Line int
}

// ParseSave parses what a person gives to iptables-restore. Its errors are of type *SyntaxError
// and have the number of the line.
func ParseSave(family header.Family, text string) (*Save, error) {
	return (&saveParser{save: &Save{Family: family, text: text}}).parse()
}

// ReadSave parses what iptables-save printed. It only fails if the text is not of that format: a
// rule that is not understood is kept word for word, and is opaque.
func ReadSave(family header.Family, text string) (*Save, error) {
	return (&saveParser{save: &Save{Family: family, text: text}, lenient: true}).parse()
}

// Table returns the table with the name, or nil.
func (s *Save) Table(name string) *Table {
	i := slices.IndexFunc(s.Tables, func(t *Table) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return s.Tables[i]
}

// Chain returns the chain with the name, or nil.
func (t *Table) Chain(name string) *Chain {
	i := slices.IndexFunc(t.Chains, func(c *Chain) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return t.Chains[i]
}

// Source returns the text that was parsed.
func (s *Save) Source() string { return s.text }

// String returns the tables as iptables-save prints them. Rules that it has printed come out as
// they were, and comments are left out. Commands are at the end of their table.
func (s *Save) String() string {
	var b strings.Builder
	for _, t := range s.Tables {
		t.write(&b)
	}
	return b.String()
}

func (t *Table) write(b *strings.Builder) {
	fmt.Fprintf(b, "*%s\n", t.Name)
	for _, c := range t.Chains {
		fmt.Fprintf(b, ":%s %s [%d:%d]\n", c.Name, c.policy(), c.Counters.Packets, c.Counters.Bytes)
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if r.Counters != nil {
				fmt.Fprintf(b, "[%d:%d] ", r.Counters.Packets, r.Counters.Bytes)
			}
			b.WriteString(strings.TrimRight("-A "+c.Name+" "+r.printed(), " ") + "\n")
		}
	}
	for _, c := range t.Commands {
		for i, w := range c.Words {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(Quote(w))
		}
		b.WriteByte('\n')
	}
	b.WriteString("COMMIT\n")
}

// printed returns the text that the rule was read from, or String.
func (r *Rule) printed() string {
	if r.source != "" {
		return r.source
	}
	return r.String()
}

func (ch *Chain) policy() string {
	if ch.Policy == "" {
		return "-"
	}
	return ch.Policy
}

// saveParser reads line after line.
type saveParser struct {
	save    *Save
	lenient bool
	table   *Table
	number  int
}

func (s *saveParser) parse() (*Save, error) {
	for text := range strings.SplitSeq(s.save.text, "\n") {
		s.number++
		if err := s.line(strings.TrimRight(text, "\r")); err != nil {
			return nil, err
		}
	}
	if s.table != nil {
		return nil, s.fail("", "COMMIT expected before the end", "end the table "+s.table.Name+" with a line COMMIT")
	}
	return s.save, nil
}

func (s *saveParser) fail(text, reason, hint string) error {
	return &SyntaxError{Line: s.number, Text: text, Reason: reason, Hint: hint}
}

// builtIn returns the built-in chains of a table.
func builtIn(table string) []string {
	switch table {
	case "filter", "security":
		return []string{"INPUT", "FORWARD", "OUTPUT"}
	case "nat":
		return []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
	case "mangle":
		return []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	case "raw":
		return []string{"PREROUTING", "OUTPUT"}
	}
	return nil
}

func (s *saveParser) line(text string) error {
	text = strings.TrimRight(text, " \t")
	switch {
	case text == "" || text[0] == '#':
		return nil
	case text[0] == '*':
		if s.table != nil {
			return s.fail(text, "COMMIT expected before the next table", "end the table "+s.table.Name+" with a line COMMIT")
		}
		if !slices.Contains(tables, text[1:]) {
			return s.fail(text, "table `"+text[1:]+"' does not exist", "tables are "+strings.Join(tables, ", "))
		}
		if s.save.Table(text[1:]) != nil {
			return s.fail(text, "the table "+text[1:]+" is there twice", "put all of it between one *"+text[1:]+" and COMMIT")
		}
		s.table = &Table{Name: text[1:], Line: s.number}
		return nil
	case s.table == nil:
		return s.fail(text, "this is not in a table", "begin with a line such as *filter")
	case text == "COMMIT":
		s.save.Tables = append(s.save.Tables, s.table)
		s.table = nil
		return nil
	case text[0] == ':':
		return s.chain(text)
	}
	return s.command(text)
}

// chain reads ":NAME POLICY [PACKETS:BYTES]".
func (s *saveParser) chain(text string) error {
	fields := strings.Fields(text[1:])
	if len(fields) < 2 || len(fields) > 3 {
		return s.fail(text, "this is not a valid declaration of a chain", "write :NAME POLICY [0:0]")
	}
	c := &Chain{Name: fields[0]}
	p := newParser(s.save.Family, []word{{fields[0], 1}})
	p.cmd.Op = NewChain
	own := !slices.Contains(builtIn(s.table.Name), c.Name)
	check := p.chainName
	if own && !s.lenient {
		check = p.newChain
	}
	if err := check(0, c.Name); err != nil {
		return s.at(err, 0)
	}
	switch policy := fields[1]; {
	case own && policy == "-":
	case !own && slices.Contains([]string{"ACCEPT", "DROP", "QUEUE"}, policy):
		c.Policy = policy
	case own:
		return s.fail(text, "the chain "+c.Name+" cannot have a policy", "write - in its place")
	default:
		return s.fail(text, "Bad policy name `"+policy+"'", "a policy is ACCEPT or DROP")
	}
	if len(fields) == 3 {
		counters, ok := bracketed(fields[2])
		if !ok {
			return s.fail(text, "the counters "+fields[2]+" are not valid", "write [PACKETS:BYTES]")
		}
		c.Counters = counters
	}
	if s.table.Chain(c.Name) != nil {
		return s.fail(text, "the chain "+c.Name+" is declared twice", "leave out one of the lines")
	}
	s.table.Chains = append(s.table.Chains, c)
	return nil
}

// bracketed reads "[PACKETS:BYTES]".
func bracketed(text string) (Counters, bool) {
	inner, open := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	packets, bytes, both := strings.Cut(inner, ":")
	p, err := strconv.ParseUint(packets, 10, 64)
	b, err2 := strconv.ParseUint(bytes, 10, 64)
	return Counters{p, b}, open && closed && both && err == nil && err2 == nil
}

// at gives an error the line and the place in it.
func (s *saveParser) at(err error, column int) error {
	if e := (*SyntaxError)(nil); errors.As(err, &e) {
		e.Line = s.number
		e.Column += column
		return e
	}
	return err
}
