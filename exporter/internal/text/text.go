// SPDX-License-Identifier: Apache-2.0

// Package text measures and writes text for terminals.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Width returns how many columns s takes in a terminal: two for East Asian wide
// characters (Unicode Annex 11), none for combining ones (Annex 44, Mn and Me).
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Clean makes a name safe to print: the kernel allows nearly any byte in the name
// of a network device, escape sequences for the terminal included.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.In(r, unicode.Mn, unicode.Me) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// ASCII replaces what is not ASCII by question marks.
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, s)
}

// Left returns s in n columns, filled up on the right. What does not fit is cut out of
// the middle, because names mostly differ at both ends.
func Left(s string, n int, ellipsis string) string {
	s = Shorten(s, n, ellipsis)
	return s + strings.Repeat(" ", n-Width(s))
}

// Right returns s in n columns, filled up on the left; it cuts nothing.
func Right(s string, n int) string {
	return strings.Repeat(" ", max(0, n-Width(s))) + s
}

// Shorten returns s in at most n columns, cut in the middle.
func Shorten(s string, n int, ellipsis string) string {
	if Width(s) <= n {
		return s
	}
	room := n - Width(ellipsis)
	if room <= 0 {
		return prefix(s, max(n, 0))
	}
	tail := suffix(s, room/2)
	return prefix(s, room-Width(tail)) + ellipsis + tail
}

// prefix returns the longest beginning of s of at most n columns.
func prefix(s string, n int) string {
	for i, r := range s {
		if n -= runeWidth(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

// suffix returns the longest end of s of at most n columns.
func suffix(s string, n int) string {
	for Width(s) > n {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	return s
}

// Nanoseconds writes a duration to the nanosecond in the unit that suits it, for
// example "412 ns" or "4.812 µs". micro is the unit of microseconds.
func Nanoseconds(ns int64, micro string) string {
	if ns < 0 {
		return "-" + Nanoseconds(-ns, micro)
	}
	switch {
	case ns < 1_000:
		return fmt.Sprintf("%d ns", ns)
	case ns < 1_000_000:
		return fmt.Sprintf("%d.%03d %s", ns/1_000, ns%1_000, micro)
	case ns < 1_000_000_000:
		return fmt.Sprintf("%d.%06d ms", ns/1_000_000, ns%1_000_000)
	}
	return fmt.Sprintf("%d.%09d s", ns/1_000_000_000, ns%1_000_000_000)
}
