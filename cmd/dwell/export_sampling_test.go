// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// What is sampled out is missing from the file and from nothing else.
func TestSampling(t *testing.T) {
	privilegetest.BPF(t)
	for _, tt := range []struct {
		flags []string
		lines int
		said  string
	}{
		{[]string{"--sample-ratio", "0"}, 0, "not exported because of --sample-ratio: 5 traces"},
		{[]string{"--sample-ratio", "0", "--keep-slower-than", "1ns"}, 5, "not exported because of --sample-ratio: 0 traces"},
	} {
		file := filepath.Join(t.TempDir(), "traces.jsonl")
		p := dwell(t, append([]string{"demo", "--count", "5", "--prefix", testPrefix(), "--otlp-file", file}, tt.flags...)...)
		if status := p.exit(t); status != 0 {
			t.Errorf("%q: status %d\n%s", tt.flags, status, &p.stderr)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n != tt.lines {
			t.Errorf("%q: %d lines in the file, want %d", tt.flags, n, tt.lines)
		}
		for _, want := range []string{tt.said, "5 pings: 5 complete"} {
			if !strings.Contains(p.stderr.String(), want) {
				t.Errorf("%q: no %q in\n%s", tt.flags, want, &p.stderr)
			}
		}
	}
}

func TestSamplingFlags(t *testing.T) {
	for want, flags := range map[string][]string{
		"--sample-ratio 1.5: ":                      {"--sample-ratio", "1.5"},
		"--sample-ratio -1: ":                       {"--sample-ratio", "-1"},
		"--keep-slower-than -1s: must not be":       {"--keep-slower-than", "-1s"},
		"add --sample-ratio 0 to export only slow,": {"--keep-slower-than", "1ms"},
	} {
		p := dwell(t, append([]string{"replay", "--output", "none", os.DevNull}, flags...)...)
		if status := p.exit(t); status != 1 {
			t.Errorf("%q: status %d", flags, status)
		}
		checkOneLine(t, p.stderr.String(), want)
	}
}
