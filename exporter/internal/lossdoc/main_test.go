// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/loss"
)

func TestPageIsUpToDate(t *testing.T) {
	committed, err := os.ReadFile("../../../docs/losses.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := page()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, string(committed)); diff != "" {
		t.Errorf("docs/losses.md is not what the code says; run go generate ./exporter (-want +got):\n%s", diff)
	}
}

func TestPageHasEveryLoss(t *testing.T) {
	page, err := page()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range loss.Table() {
		if !strings.Contains(page, "| *"+l.Sentence+"* | `"+l.Metric+"` |") {
			t.Errorf("%s is in no table", l.Metric)
		}
	}
	for _, c := range exporter.Causes() {
		if !strings.Contains(page, "| `"+string(c.Cause)+"` |") {
			t.Errorf("%s is in no table", c.Cause)
		}
	}
}
