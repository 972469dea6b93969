// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets this program play the roles of the processes that it starts.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--role") {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// TestCompare runs a round of everything: no span may be lost, each exporter has a line.
func TestCompare(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(t.Context(), []string{"--rounds", "1", "--spans", "50"}, nil, &out, os.Stderr); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2+len(exporters()) {
		t.Fatalf("%d lines:\n%s", len(lines), &out)
	}
	for i, name := range exporters() {
		line := strings.TrimSpace(lines[2+i])
		if !strings.HasPrefix(line, name) || !strings.HasSuffix(line, " 0") {
			t.Errorf("%q should begin with %q and end with no loss", line, name)
		}
	}
}
