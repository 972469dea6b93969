// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Error is one thing that is wrong with a configuration.
type Error struct {
	Origin
	// Path is the setting, such as "trace.timeout", or "" if it is of none.
	Path string
	// Problem says what is wrong and what would be right.
	Problem string
}

// Error returns one line: "FILE:LINE:COLUMN: PATH: PROBLEM", or with the variable in the
// place of the file.
func (e *Error) Error() string {
	var parts []string
	for _, part := range []string{e.Origin.String(), oneLine(e.Path), e.Problem} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// oneLine returns a path as it is, or quoted if it has lines or the like: a key of YAML may.
func oneLine(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}

// Origin is where a value was set.
type Origin struct {
	// File is the path of the file, Line and Column count from 1; Line is 0 if it is about
	// the file as a whole.
	File         string
	Line, Column int
	// Variable is the environment variable, or "".
	Variable string
}

// String returns "FILE:LINE:COLUMN" or the variable; "" for a default.
func (o Origin) String() string {
	switch {
	case o.Variable != "":
		return o.Variable
	case o.Line > 0:
		return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
	}
	return o.File
}

// place is String without the column: a definition is more than one value.
func (o Origin) place() string {
	if o.Line > 0 {
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	}
	return o.String()
}

// nearest returns the candidate that a mistyped name was probably meant to be, or "".
func nearest(name string, candidates []string) string {
	best, least := "", max(len(name)/3, 2)+1
	for _, c := range candidates {
		if d := distance(name, c); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// distance returns the Levenshtein distance: how many bytes must be put in, left out or
// replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
