// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// RuleError says that iptables or the kernel does not accept a rule.
type RuleError struct {
	// ID is the rule's, or 0 if it is not known which one it is: [Tables.Test] finds out.
	ID uint32
	// Chain is the tenant's name of its chain, or "".
	Chain string
	// Text is what iptables said.
	Text string
}

func (e *RuleError) Error() string {
	if e.ID == 0 {
		return e.Text
	}
	return fmt.Sprintf("rule %d: %s", e.ID, e.Text)
}

// BitError says that a chain cannot be put into iptables because all bits of the mark are used.
type BitError struct{ Chain string }

func (e *BitError) Error() string {
	return "chain " + e.Chain + " has ACCEPT, which needs a bit of the packet's mark that nobody uses, and there is none: " +
		"use masks for marks in the host's rules (MARK --set-xmark VALUE/MASK), or use RETURN in place of ACCEPT"
}

// Where iptables-restore says on which line it failed, and what tells nothing beside.
var (
	failedLine = regexp.MustCompile(`(?:Error occurred at line: |line )(\d+)`)
	onlyLine   = regexp.MustCompile(`^line \d+ failed$`)
	noise      = regexp.MustCompile(`ip6?tables(?:-\w+)*-restore(?: v[\w.]+)?(?: \(\w+\))?: ;? ?|;? ?Error occurred at line: \d+|line \d+: `)
)

// explain finds the rule that a failed run was about. Legacy iptables knows a line only if it
// cannot read the rule: what the kernel refuses, it refuses as a whole.
func (s *script) explain(f *failure) error {
	found := failedLine.FindStringSubmatch(f.said)
	if found == nil {
		return f
	}
	number, err := strconv.Atoi(found[1])
	if err != nil {
		return f
	}
	text := strings.TrimSpace(noise.ReplaceAllString(f.said, ""))
	if onlyLine.MatchString(text) {
		text = "the kernel does not accept the rule: something in it is not allowed in table filter, " +
			"needs another match such as -p tcp, or needs a module that this kernel does not have"
	}
	if rule := s.rules[number]; rule != nil {
		return &RuleError{ID: rule.ID, Text: text}
	}
	if number > s.lines {
		return &RuleError{Text: text}
	}
	return f
}
