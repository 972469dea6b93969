// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A scope of one interface shows a part of each ping, which nobody is warned of; a name that
// matches nothing causes a warning.
func TestTraceOfAnInterface(t *testing.T) {
	l := testLab(t)
	p, status := tracePings(t, l, "--output", "none", "--interface", "ens[0-9]", "--interface", "nobody*", "--timeout", "300ms")
	text := p.stderr.String()
	if status != 0 || !strings.Contains(text, "5 pings: 0 complete, 0 dropped, 0 incomplete, 5 partial;") {
		t.Errorf("status %d\n%s", status, text)
	}
	if n := strings.Count(text, "warning"); n != 1 || !strings.Contains(text, `no interface matches "nobody*"`) {
		t.Errorf("%d warnings\n%s", n, text)
	}
	if !strings.Contains(text, "\n  partial: seen as far as the traced interfaces go\n") {
		t.Errorf("no word about what partial means\n%s", text)
	}
}

// In a time namespace, whose clock is a day ahead, the traces are of today.
func TestTraceInTimeNamespace(t *testing.T) {
	l, file := testLab(t), filepath.Join(t.TempDir(), "traces.jsonl")
	args := append([]string{"--time", "--monotonic", "86400", "--fork", "/proc/" + pid() + "/exe"},
		traceFive(l, "--output", "none", "--otlp-file", file)...)
	p := program(t, "unshare", args...)
	before := time.Now()
	if status := pingFive(t, l, p); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	after := time.Now()
	if want := "5 pings: 5 complete"; !strings.Contains(p.stderr.String(), want) {
		t.Errorf("%s\n%s", want, &p.stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	starts := regexp.MustCompile(`"startTimeUnixNano":"([0-9]+)"`).FindAllSubmatch(text, -1)
	if len(starts) < 5 {
		t.Fatalf("%d spans", len(starts))
	}
	for _, m := range starts {
		ns, err := strconv.ParseInt(string(m[1]), 10, 64)
		if at := time.Unix(0, ns); err != nil || at.Before(before) || at.After(after) {
			t.Fatalf("a span begins at %v, %v; want %v to %v", at, err, before, after)
		}
	}
}
