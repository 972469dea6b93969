// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// flooded is a flood of 1000 pings with 26 events each, of which something became.
func flooded(events, gated, lost float64) *bench {
	b := &bench{perPing: 26, sent: 1000, before: sample{events: 500, sent: 100, taken: 100}}
	b.duration, b.allow, b.out = 16*time.Second, 8, &bytes.Buffer{}
	b.after = sample{events: 500 + events, gated: gated, lost: lost, sent: 7000, taken: 7000}
	for i := range 16 {
		b.samples = append(b.samples, sample{at: time.Duration(i) * time.Second, rss: 100 * mib})
	}
	return b
}

func TestVerdict(t *testing.T) {
	grown := flooded(26_000, 0, 0)
	for i := range grown.samples {
		grown.samples[i].rss += float64(i) * mib
	}
	untaken := flooded(26_000, 0, 0)
	untaken.after.taken--
	twice := flooded(7000, 20_000, 0)
	twice.after.once = true
	for name, tc := range map[string]struct {
		*bench
		want string
	}{
		"none may be counted twice": {twice, "1000 events of 26000 are counted twice"},
		"all are read":              {flooded(26_000, 0, 0), ""},
		"some are counted":          {flooded(6000, 15_000, 5000), ""},
		"some are counted twice":    {flooded(7000, 20_000, 0), ""},
		"some are not counted":      {flooded(25_000, 900, 90), "10 events of 26000 are not accounted for"},
		"not all arrived":           {untaken, "has 6999 spans"},
		"memory grew":               {grown, "memory grew by 8.0 MiB"},
	} {
		if name == "memory grew" {
			tc.allow = 7
		}
		err := tc.verdict()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestChart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flood.svg")
	if err := flooded(26_000, 0, 0).draw(file); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "memory of dwell agent") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"--duration", "7s"}, {"--print", "0s"}, {"--speed", "1"}} {
		if _, err := parseFlags(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
