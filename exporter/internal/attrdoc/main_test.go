// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
)

func TestPageIsUpToDate(t *testing.T) {
	committed, err := os.ReadFile("../../../docs/attributes.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page(), string(committed)); diff != "" {
		t.Errorf("docs/attributes.md is not what the code says; run go generate ./exporter (-want +got):\n%s", diff)
	}
}

func TestPageHasEveryAttribute(t *testing.T) {
	text := page()
	for _, a := range trace.Attributes {
		if !strings.Contains(text, "| `"+a.Key+"` |") {
			t.Errorf("%s (on %q) is in no section", a.Key, a.On)
		}
	}
}
