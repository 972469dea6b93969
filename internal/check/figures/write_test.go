// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is the tree of the tests in a format, up to the legend.
func written(t *testing.T, format string) string {
	t.Helper()
	write, err := writerOf(format)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := write(&b, measured(t, tree())); err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(b.String(), "\nFILE, FUNC")
	return text
}

func TestText(t *testing.T) {
	const want = `module: example.org/m
packages: 4
imports between packages: 3
cycles of packages: none
cycles of groups: none

GROUP           PACKAGES  FILES  LINES   FILE   FUNC  >60  DOC  COMMENT   T:S  IN  OUT
all                    4      5     18  3·6·6  2·2·2    0  50%      11%  0.33   -    -
cmd                    1      1      3  3·3·3  0·0·0    0    -       0%  0.00   -    1
internal               1      1      3  3·3·3  0·0·0    0    -       0%  0.00   1    1
internal/check         1      1      3  3·3·3  0·0·0    0    -       0%  0.00   -    1
lib                    1      2      9  6·6·6  2·2·2    0  50%      22%  0.67   2    -

PACKAGE         FILES  LINES   FILE   FUNC  >60  DOC  COMMENT   T:S  IN  OUT
cmd/m               1      3  3·3·3  0·0·0    0    -       0%  0.00   -    1
internal/a          1      3  3·3·3  0·0·0    0    -       0%  0.00   1    1
internal/check      1      3  3·3·3  0·0·0    0    -       0%  0.00   -    1
lib                 2      9  6·6·6  2·2·2    0  50%      22%  0.67   2    -

FROM/TO         cmd  internal  internal/check  lib
cmd               -         -               -    1
internal          -         -               -    1
internal/check    -         1               -    -
lib               -         -               -    -
`
	if diff := cmp.Diff(want, written(t, "text")); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestMarkdown(t *testing.T) {
	got := written(t, "markdown")
	for _, want := range []string{
		"module: example.org/m  \npackages: 4  \n", "\ncycles of groups: none\n\n| GROUP |",
		"\n| PACKAGE | FILES | LINES | FILE | FUNC | >60 | DOC | COMMENT | T:S | IN | OUT |\n" +
			"| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
		"\n| lib | 2 | 9 | 6·6·6 | 2·2·2 | 0 | 50% | 22% | 0.67 | 2 | - |\n",
		"\n| internal/check | - | 1 | - | - |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestJSON(t *testing.T) {
	var got report
	if err := json.Unmarshal([]byte(written(t, "json")), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(measured(t, tree()), got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestCyclesText(t *testing.T) {
	if got, want := cyclesText([][]string{{"a", "b"}, {"c", "d"}}), "a b, c d"; got != want {
		t.Errorf("cyclesText = %q, want %q", got, want)
	}
}
