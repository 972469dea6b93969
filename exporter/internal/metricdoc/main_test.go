// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter/metrics"
)

func TestPageIsUpToDate(t *testing.T) {
	committed, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := page()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, string(committed)); diff != "" {
		t.Errorf("docs/metrics.md is not what the code says; run go generate ./exporter/metrics (-want +got):\n%s", diff)
	}
}

func TestPageHasEveryMetric(t *testing.T) {
	page, err := page()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range metrics.Definitions() {
		if !strings.Contains(page, "| `"+d.Name+"`<br>`"+d.Prometheus()+"` |") {
			t.Errorf("%s is in no table", d.Name)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		500: "500 ns", time.Microsecond: "1 µs", 20 * time.Millisecond: "20 ms", time.Second: "1 s",
		90 * time.Minute: "90 min", time.Hour: "1 h",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
