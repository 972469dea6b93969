// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// style is a sequence of SGR parameters.
type style string

const (
	plain   style = ""
	bold    style = "1"
	dim     style = "2"
	red     style = "31"
	green   style = "32"
	yellow  style = "33"
	cyan    style = "36"
	inverse style = "7"
	alarm   style = "1;31"
)

// look is how things are drawn on this terminal.
type look struct {
	color, ascii bool
}

// paint puts s in a style. Without colours it is as it was.
func (l look) paint(s string, st style) string {
	if !l.color || st == plain || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

// clean makes a name safe to print: the kernel allows nearly any byte in the name of a
// network device, escape sequences for the terminal included.
func (l look) clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case l.ascii && r > unicode.MaxASCII:
			return '?'
		case unicode.IsPrint(r), unicode.In(r, unicode.Mn, unicode.Me):
			return r
		}
		return l.pick(unicode.ReplacementChar, '?')
	}, s)
}

func (l look) pick(r, ascii rune) rune {
	if l.ascii {
		return ascii
	}
	return r
}

func (l look) ellipsis() string { return string(l.pick('…', '~')) }
func (l look) arrow() string {
	if l.ascii {
		return "->"
	}
	return "→"
}

// cut returns s in at most n columns. s may have styles.
func (l look) cut(s string, n int) string { return ansi.Truncate(s, max(n, 0), l.ellipsis()) }

// left and right return s in exactly n columns.
func (l look) left(s string, n int) string {
	s = l.cut(s, n)
	return s + strings.Repeat(" ", max(0, n-ansi.StringWidth(s)))
}

func (l look) right(s string, n int) string {
	s = l.cut(s, n)
	return strings.Repeat(" ", max(0, n-ansi.StringWidth(s))) + s
}

// middle shortens a name in its middle, because names mostly differ at both ends.
func (l look) middle(s string, n int) string {
	w := ansi.StringWidth(s)
	if w <= n {
		return s
	}
	tail := max(0, n-1) / 2
	return ansi.Truncate(s, max(0, n-1-tail), "") + l.ellipsis() + ansi.TruncateLeft(s, w-tail, "")
}

// spread puts one text at the left and one at the right end of n columns; the left one is
// shortened if there is no room for both.
func (l look) spread(left, right string, n int) string {
	return l.left(left, n-ansi.StringWidth(right)-1) + " " + l.cut(right, n)
}

// duration writes nanoseconds with three digits, for example "4.81 µs".
func (l look) duration(ns int64) string {
	micro := "µs"
	if l.ascii {
		micro = "us"
	}
	for _, u := range []struct {
		size int64
		name string
	}{{1_000_000_000, "s"}, {1_000_000, "ms"}, {1_000, micro}} {
		if ns >= u.size {
			v := float64(ns) / float64(u.size)
			return fmt.Sprintf("%.*f %s", decimals(v), v, u.name)
		}
	}
	return fmt.Sprintf("%d ns", ns)
}

func decimals(v float64) int {
	switch {
	case v < 9.995:
		return 2
	case v < 99.95:
		return 1
	}
	return 0
}

// number writes a number with separators, for example "12,345".
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// steady is how many times the least value the greatest may be, in percent, for a curve to be
// drawn as a level line: what is less is noise.
const steady = 105

// curve draws values of which -1 is none, from the least to the greatest.
func (l look) curve(values []int64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	if l.ascii {
		levels = []rune("_.-~=+*#")
	}
	least, greatest := int64(math.MaxInt64), int64(0)
	for _, v := range values {
		if v >= 0 {
			least, greatest = min(least, v), max(greatest, v)
		}
	}
	level := func(v int64) int {
		if greatest*100 <= least*steady {
			return len(levels)/2 - 1
		}
		return int((v - least) * int64(len(levels)-1) / (greatest - least))
	}
	var b strings.Builder
	for _, v := range values {
		if v < 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(levels[level(v)])
	}
	return b.String()
}
