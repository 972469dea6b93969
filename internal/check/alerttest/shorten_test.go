// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/check/alerttest"
)

func TestShortenDividesDurationsOnly(t *testing.T) {
	parse := func(text string) alerttest.File {
		f, err := alerttest.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	long := parse(`
groups:
  - name: p99_5m
    interval: 30s
    rules:
      - record: job:x:p99_5m
        expr: quantile_over_time(0.5, job:y:p99_5m{a="5m"}[1h30m:1m] offset 10m) and x offset -5m > 3600 + rate(x[5m])
      - alert: X5m
        expr: job:x:p99_5m > 5
        for: 1d
        keep_firing_for: 10m
        labels: {window: 5m}
        annotations: {summary: over 5m}
`)
	before := parse(format(t, long))
	short, err := long.Shorten(30)
	if err != nil {
		t.Fatal(err)
	}
	want := parse(`
groups:
  - name: p99_5m
    interval: 1s
    rules:
      - record: job:x:p99_5m
        expr: quantile_over_time(0.5, job:y:p99_5m{a="5m"}[3m:2s] offset 20s) and x offset -10s > 3600 + rate(x[10s])
      - alert: X5m
        expr: job:x:p99_5m > 5
        for: 48m
        keep_firing_for: 20s
        labels: {window: 5m}
        annotations: {summary: over 5m}
`)
	if diff := cmp.Diff(want, short); diff != "" {
		t.Errorf("shortened, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, long); diff != "" {
		t.Errorf("the rules given were changed:\n%s", diff)
	}
}

func TestShortenSaysWhatItCannotDivide(t *testing.T) {
	for text, want := range map[string]string{
		"1ms":  "cannot be divided by 30",
		"soon": "not a valid duration",
	} {
		f := alerttest.File{Groups: []alerttest.Group{{Interval: text}}}
		if _, err := f.Shorten(30); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("interval %s: got error %v, want one with %q", text, err, want)
		}
	}
}

func TestParseRefusesWhatItWouldDrop(t *testing.T) {
	_, err := alerttest.Parse([]byte("groups: [{name: x, limit: 5, rules: []}]"))
	if err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("got error %v, want one that names limit", err)
	}
}

func format(t *testing.T, f alerttest.File) string {
	t.Helper()
	text, err := f.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
