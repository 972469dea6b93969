// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
)

func TestEveryKindHasACategory(t *testing.T) {
	for _, k := range trace.Kinds() {
		c, ok := categoryOfKind(k)
		if !ok {
			t.Errorf("%s has no category", k)
		}
		if c != catNone && !slices.Contains(allCategories, c) {
			t.Errorf("%s has the category %q, which is not in the chart", k, c)
		}
		if _, ok := shades()[ink(c)]; c != catNone && !ok {
			t.Errorf("category %q of %s has no colour", c, k)
		}
		if got := categoryOf(k.String(), false); got != c {
			t.Errorf("%s by its name has the category %q, want %q", k, got, c)
		}
	}
}

func TestCategoryOfDevice(t *testing.T) {
	for switches, want := range map[bool]category{true: catBridge, false: catRouter} {
		if got := categoryOf(trace.KindDevice.String(), switches); got != want {
			t.Errorf("a device that switches, %t, has the category %q", switches, got)
		}
	}
	if got := categoryOf("rtt", false); got != catOther {
		t.Errorf("the round trip has the category %q", got)
	}
}
