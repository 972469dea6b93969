// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// grown makes samples whose memory goes from one size to another, in MiB.
func grown(from, to float64) []sample {
	samples := make([]sample, 16)
	for i := range samples {
		at := float64(i) / float64(len(samples)-1)
		samples[i] = sample{sent: int(at * hourful), rss: (from + at*(to-from)) * mib}
	}
	return samples
}

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		name    string
		samples []sample
		fails   bool
	}{
		{"flat", grown(100, 100), false},
		{"smaller", grown(100, 50), false},
		{"a little", grown(100, 110), false},
		{"too much", grown(100, 130), true},
		// The first quarter is for caches to fill.
		{"full soon", append(grown(0, 100)[:4], grown(100, 100)[4:]...), false},
	} {
		var out bytes.Buffer
		err := verdict(&out, tc.samples, 8)
		if (err != nil) != tc.fails || !strings.Contains(out.String(), "MiB an hour's worth") {
			t.Errorf("%s: %v\n%s", tc.name, err, &out)
		}
	}
	mibOf := func(s sample) float64 { return s.rss / mib }
	if got := fit(grown(100, 130), mibOf) * hourful; math.Abs(got-30) > 0.01 {
		t.Errorf("slope %v MiB an hour's worth, want 30", got)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"--samples", "7"}, {"--pings", "3"}, {"--speed", "1"}} {
		if _, err := parseFlags(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
