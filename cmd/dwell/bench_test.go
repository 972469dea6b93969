// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// benchOf runs dwell bench in this process with a prefix of the test's own.
func benchOf(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := newBenchCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{"--prefix", testPrefix(), "--interval", "1ms"}, args...))
	err = cmd.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

// The fast path is measured beside the kernel's way, and nothing of it is left.
func TestBenchFastPath(t *testing.T) {
	privilegetest.BPF(t)
	privilegetest.Kernel(t, bypass.Supported())
	before := programs(t)
	stdout, stderr, err := benchOf(t.Context(), "--fastpath", "--modes", "bridge,routed", "--batches", "2", "--count", "20")
	if err != nil {
		t.Fatalf("%v\n%s%s", err, stderr, stdout)
	}
	for _, want := range []string{"bridge: what the fast path saves", "routed, the fast path: reply", "fast path brovsns-br -> ens3"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	checkProgramsGone(t, before)
	if _, err := os.Stat("/run/" + testPrefix() + "-bench-fastpath"); !os.IsNotExist(err) {
		t.Errorf("its directory is left: %v", err)
	}
}

func TestBench(t *testing.T) {
	privilegetest.BPF(t)
	before := programs(t)
	dir := filepath.Join(t.TempDir(), "report")
	stdout, stderr, err := benchOf(t.Context(), "--modes", "bridge-namespaces,vxlan", "--batches", "2", "--count", "5", "--out", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{"bridge-namespaces: request", "vxlan: reply", "2nd", "stddev", "whole way", "The paper's figures"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"bench.csv", "bench.json", "bench.md", "bench.png", "bench.svg", "report.html"}; !slices.Equal(names, want) {
		t.Errorf("files %v", names)
	}
	var r bench.Result
	text, err := os.ReadFile(filepath.Join(dir, "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil || len(r.Modes) != 2 || r.Modes[1].Ping.Count != 10 {
		t.Errorf("%v: %d modes", err, len(r.Modes))
	}
	if !strings.Contains(stderr, "report written: "+dir) {
		t.Errorf("does not say where the report is:\n%s", stderr)
	}
	if left := labSpaces(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	checkProgramsGone(t, before)
}

// Rules without modes are tried in the bridge alone.
func TestBenchRulesAndCalibration(t *testing.T) {
	privilegetest.BPF(t)
	stdout, stderr, err := benchOf(t.Context(), "--rules", "0,10", "--calibrate", "--batches", "1", "--count", "3")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{"bridge: request", "Rules in bridge", "per 1,000", "What tracing adds"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "routed: request") {
		t.Error("measured other modes, too")
	}
}

// interrupter cancels when a word is written to it.
type interrupter struct {
	word   string
	cancel context.CancelFunc
}

func (i interrupter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.word) {
		i.cancel()
	}
	return len(p), nil
}

// Whenever it is interrupted, no namespace, program or file stays.
func TestBenchInterrupted(t *testing.T) {
	privilegetest.BPF(t)
	before := programs(t)
	for _, word := range []string{"bridge (", "nat (", "rules in bridge", "calibration in nat"} {
		dir := filepath.Join(t.TempDir(), "report")
		ctx, cancel := context.WithCancel(t.Context())
		cmd := newBenchCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(interrupter{word, cancel})
		cmd.SetArgs([]string{
			"--prefix", testPrefix(), "--interval", "1ms", "--modes", "bridge,nat", "--batches", "1", "--count", "3",
			"--rules", "0,1", "--calibrate", "--out", dir,
		})
		if err := cmd.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("at %q: %v", word, err)
		}
		cancel()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("at %q: something was written: %v", word, err)
		}
		if left := labSpaces(t); len(left) > 0 {
			t.Errorf("at %q left: %v", word, left)
		}
	}
	checkProgramsGone(t, before)
}

func TestBenchErrors(t *testing.T) {
	for want, args := range map[string][]string{
		`unknown topology "ring"`:  {"--modes", "ring"},
		"nat is given twice":       {"--modes", "nat,nat"},
		"--batches 0":              {"--batches", "0"},
		"nat has no IPv6":          {"--modes", "nat", "--ipv6"},
		"vxlan has no hypervisor":  {"--modes", "vxlan", "--rules", "1"},
		"--rules -5":               {"--rules", "0,-5"},
		`invalid argument "seldom`: {"--interval", "seldom"},
	} {
		stdout, _, err := benchOf(t.Context(), args...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want %q in it", args, err, want)
		}
		if stdout != "" {
			t.Errorf("%v printed %s", args, stdout)
		}
	}
}

// A report that cannot be written is an error, and the figures are not lost.
func TestBenchReportCannotBeWritten(t *testing.T) {
	privilegetest.BPF(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for out, printed := range map[string]bool{file: false, filepath.Join(file, "below"): true} {
		stdout, _, err := benchOf(t.Context(), "--modes", "nat", "--batches", "1", "--count", "2", "--out", out)
		if err == nil || !strings.Contains(err.Error(), "--out") || strings.Contains(stdout, "nat: request") != printed {
			t.Errorf("error %v, printed\n%s", err, stdout)
		}
	}
}
