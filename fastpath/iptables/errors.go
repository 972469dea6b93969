// SPDX-License-Identifier: Apache-2.0

package iptables

import "fmt"

// SyntaxError says at which word a command, or a file, is not valid.
type SyntaxError struct {
	// Line is the number of the line in a file, from 1, or 0 for a command.
	Line int
	// Word is the index of the word in the command or line, the first being 0. It is the number of
	// words if something is missing at the end.
	Word int
	// Column is where the word begins in the line, counted in bytes from 0. For
	// [ParseCommand] it is as if the words were parted by one blank each, quoted as [Quote] does.
	Column int
	// Text is the word, or "" at the end.
	Text string
	// Reason says what is wrong, as a sentence without a full stop.
	Reason string
	// Hint says what to do, or is "".
	Hint string
}

// Error returns all but the column.
func (e *SyntaxError) Error() string {
	s := e.Reason
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	if e.Line > 0 {
		s = fmt.Sprintf("line %d: %s", e.Line, s)
	}
	return s
}
