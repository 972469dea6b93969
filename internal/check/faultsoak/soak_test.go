// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/check/otlpsink"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// The short form: with what is over soon, nothing is missing and nothing is left behind.
func TestShortSoak(t *testing.T) {
	privilegetest.BPF(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	dwell, chart := filepath.Join(dir, "dwell"), filepath.Join(dir, "soak.svg")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", dwell, "../../../cmd/dwell").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	args := []string{
		"--dwell", dwell, "--duration", "12s", "--step", "1s", "--settle", "3s", "--print", "1s", "--rate", "40", "--allow", "-1",
		"--svg", chart, "--steps", "down,file,exhausted,tenants,slow,probes,many",
	}
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Errorf("%v\n%s\n%s", err, &stdout, &stderr)
	}
	if text, err := os.ReadFile(chart); err != nil || !strings.Contains(string(text), "exhausted") {
		t.Errorf("chart: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "dwell-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind are %q, %v", left, err)
	}
}

// soaked is a run that has sent one ping of each kind for each given fate, and of which arrived
// those that are even.
func soaked(n int, because fate, given, lost float64) *soak {
	s := &soak{out: &bytes.Buffer{}, final: sample{given: given, lost: lost}, samples: []sample{{answered: 1}}}
	s.ledger.pings = map[otlpsink.ID]*entry{{15: 255}: {spans: 29}}
	for i := range n {
		e := &entry{because: because}
		if i%2 == 0 {
			e.spans = 29
		}
		s.ledger.pings[otlpsink.ID{byte(i), byte(i >> 8)}] = e
	}
	return s
}

func TestVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		*soak
		want string
	}{
		"all arrived":                   {soaked(1, kept, 0, 0), ""},
		"one is missing":                {soaked(2, kept, 0, 0), "pings: 1 traces are missing, and what is counted as lost is 0 at most"},
		"one is missing and counted":    {soaked(2, kept, 29, 0), ""},
		"its events are counted":        {soaked(2, kept, 0, 26), ""},
		"two are missing, one counted":  {soaked(4, kept, 29, 0), "2 traces are missing"},
		"half is left out":              {soaked(2000, sampled, 0, 0), ""},
		"some are lost on a full disk":  {soaked(2, endangered, 0, 0), "when the disk was full: 1 traces are missing"},
		"some are counted on full disk": {&soak{}, ""},
	} {
		if name == "some are counted on full disk" {
			tc.soak = soaked(2, endangered, 29, 0)
			tc.givenFull = 29
		}
		err := tc.verdict()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	all := soaked(0, kept, 0, 0)
	for i := range 2000 {
		all.ledger.pings[otlpsink.ID{byte(i), byte(i >> 8)}] = &entry{because: sampled, spans: 29}
	}
	if err := all.verdict(); err == nil || !strings.Contains(err.Error(), "half of which were to be left out") {
		t.Errorf("nothing was left out: %v", err)
	}
	grown := soaked(1, kept, 0, 0)
	for i := range 16 {
		grown.samples = append(grown.samples, sample{rss: float64(i) * mib})
	}
	if err := grown.verdict(); err == nil || !strings.Contains(err.Error(), "memory grew") {
		t.Errorf("memory grew: %v", err)
	}
}

// What was sent before the disk was full and has not arrived may be given up, too.
func TestEndangered(t *testing.T) {
	var l ledger
	for i := range byte(4) {
		l.endanger(i == 2)
		l.sent(otlpsink.ID{i})
		if i == 0 {
			l.received(otlpsink.ID{i}, 29)
			l.received(otlpsink.ID{99}, 29)
		}
	}
	l.sampling(true)
	l.sent(otlpsink.ID{9})
	l.sent(otlpsink.ID{10})
	l.unsent(otlpsink.ID{10})
	if k, e, s := l.sum(kept), l.sum(endangered), l.sum(sampled); k.sent != 2 || k.arrived != 1 || e.sent != 2 || s.sent != 1 {
		t.Errorf("kept %+v, endangered %+v, sampled %+v", k, e, s)
	}
	if sent, arrived := l.counts(); sent != 5 || arrived != 1 {
		t.Errorf("%d sent, %d arrived", sent, arrived)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"--steps", "down,flood"}, {"--rate", "3"}, {"--step", "0s"}, {"--duration", "1s"}, {"--print", "0s"}, {"--speed", "1"}} {
		if _, err := parseFlags(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	if cfg, err := parseFlags(nil, &bytes.Buffer{}); err != nil || len(cfg.steps) != len(steps()) {
		t.Errorf("steps %q of %d, %v", cfg.steps, len(steps()), err)
	}
}
