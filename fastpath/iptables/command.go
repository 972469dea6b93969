// SPDX-License-Identifier: Apache-2.0

package iptables

import (
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
	// Words are the command as typed, without those that only ask how iptables is to run.
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

// ParseCommand parses a command, whose first word is iptables or ip6tables. Its errors are of
// type *SyntaxError.
func ParseCommand(words []string) (*Command, error) { return nil, errTodo(words) }

// ParseLine parses a command as typed in a shell: words are parted by blanks; quotes and
// backslashes keep them together. Variables and the like are not expanded but refused. Its
// errors are of type *SyntaxError.
func ParseLine(_ string) (*Command, error) { return nil, errTodo(nil) }
