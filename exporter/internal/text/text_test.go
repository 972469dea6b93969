// SPDX-License-Identifier: Apache-2.0

package text_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/exporter/internal/text"
)

func TestNanoseconds(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 ns", 999: "999 ns", 1_000: "1.000 µs", 4_812: "4.812 µs", 999_999: "999.999 µs",
		1_000_000: "1.000000 ms", 12_000_034: "12.000034 ms", 1_000_000_001: "1.000000001 s", -5: "-5 ns", -1_500: "-1.500 µs",
	} {
		if got := text.Nanoseconds(ns, "µs"); got != want {
			t.Errorf("%d: %q, want %q", ns, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		s    string
		n    int
		want string
	}{
		{"brovsns-br", 10, "brovsns-br"},
		{"dwell-bridge-hypervisor", 10, "dwell…isor"},
		{"客户机客户机", 7, "客户…机"},
		{"abc", 1, "a"},
		{"abc", 0, ""},
	} {
		if got := text.Shorten(tt.s, tt.n, "…"); got != tt.want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", tt.s, tt.n, got, tt.want)
		}
	}
}

func TestLeftFillsExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := text.Clean(rapid.String().Draw(t, "s"))
		n := rapid.IntRange(0, 40).Draw(t, "n")
		if got := text.Width(text.Left(s, n, "…")); got != n {
			t.Fatalf("%d columns, want %d", got, n)
		}
	})
}

func TestCleanLetsNothingControlTheTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := text.Clean(rapid.String().Draw(t, "s"))
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
			t.Fatalf("control characters in %q", s)
		}
	})
}
