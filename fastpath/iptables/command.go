// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Op is what a command does.
type Op uint8

// The operations, and the option of each.
const (
	Append      Op = iota + 1 // -A
	Insert                    // -I
	Delete                    // -D
	Replace                   // -R
	Check                     // -C
	NewChain                  // -N
	DeleteChain               // -X
	Flush                     // -F
	SetPolicy                 // -P
	Zero                      // -Z
	Rename                    // -E
	List                      // -L
	ListRules                 // -S
)

// String returns the option in short, such as "-A".
func (o Op) String() string {
	const letters = "?AIDRCNXFPZELS"
	if int(o) >= len(letters) {
		o = 0
	}
	return "-" + letters[o:o+1]
}

// Edits reports whether the operation changes rules, chains, or counters.
func (o Op) Edits() bool { return o != Check && o != List && o != ListRules }

// Command is one command of iptables.
type Command struct {
	// Words are the command as typed.
	Words  []string
	Family header.Family
	// Table is "filter" if the command has no -t.
	Table string
	Op    Op
	// Chain is the chain that the command names, or "" for all.
	Chain string
	// Number is the place in the chain, from 1: of Insert (1 if not given), Delete, Replace,
	// ListRules, List and Zero. 0 if there is none.
	Number int
	// Rules are those of Append, Insert, Delete, Replace and Check. There are several if -s or
	// -d have several addresses; Insert puts them one after the other at the same place, so
	// the last is first, as iptables does it.
	Rules []*Rule
	// NewName is that of Rename.
	NewName string
	// Policy is that of SetPolicy: ACCEPT or DROP.
	Policy string
	// Counters are those that -c gives to SetPolicy.
	Counters *Counters
	// Verbose, Numeric, Exact and LineNumbers say how List prints.
	Verbose, Numeric, Exact, LineNumbers bool
}

// ParseCommand parses a command, whose first word is iptables or ip6tables. Its errors are
// of type *SyntaxError.
func ParseCommand(words []string) (*Command, error) { return parseCommand(join(words)) }

// ParseLine parses a command as typed in a shell: words are parted by blanks; quotes and
// backslashes keep them together. Variables and the like are not expanded but refused. Its
// errors are of type *SyntaxError.
func ParseLine(line string) (*Command, error) {
	words, err := splitShell(line)
	if err != nil {
		return nil, err
	}
	return parseCommand(words)
}

func parseCommand(words []word) (*Command, error) {
	if len(words) == 0 {
		return nil, &SyntaxError{Reason: "there is no command", Hint: "write iptables or ip6tables and what to do, such as -A FORWARD"}
	}
	family, ok := familyOf(words[0].text)
	p := newParser(family, words)
	if !ok {
		return nil, p.errorAt(0, "`"+words[0].text+"' is not iptables or ip6tables", "begin the command with one of them")
	}
	if i := slices.IndexFunc(words, func(w word) bool { return strings.ContainsAny(w.text, "\n\x00") }); i >= 0 {
		return nil, p.errorAt(i, "a word has a line break in it", "leave it out")
	}
	p.at = 1
	if err := p.run(); err != nil {
		return nil, err
	}
	c, err := p.finish()
	if err != nil {
		return nil, err
	}
	for _, w := range words {
		c.Words = append(c.Words, w.text)
	}
	return c, nil
}

// familyOf returns the version of IP that a program is for, of which only the last part of the
// path counts.
func familyOf(program string) (header.Family, bool) {
	name := program[strings.LastIndexByte(program, '/')+1:]
	for _, back := range []string{"", "-legacy", "-nft"} {
		switch name {
		case "iptables" + back:
			return header.V4, true
		case "ip6tables" + back:
			return header.V6, true
		}
	}
	return 0, false
}
