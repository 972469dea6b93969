// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Every kind has a name of its own, by which it is found.
func TestKindNames(t *testing.T) {
	kinds := trace.Kinds()
	if !slices.Contains(kinds, trace.KindPing) || !slices.Contains(kinds, trace.KindRespond) {
		t.Fatalf("the kinds are %v", kinds)
	}
	for _, k := range kinds {
		if got, ok := trace.ParseKind(k.String()); !ok || got != k {
			t.Errorf("kind %d is named %q, which is that of kind %d", k, k, got)
		}
	}
	for _, name := range []string{"", "unknown", "rtt"} {
		if k, ok := trace.ParseKind(name); ok {
			t.Errorf("%q is the name of %v", name, k)
		}
	}
}
