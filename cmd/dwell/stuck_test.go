// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// Somebody who does not read the traces does not keep the run from ending, however many
// of them are waiting; they are counted.
func TestTraceToStuckReader(t *testing.T) {
	l := testLab(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := dwell(t, append([]string{"trace", "--output", "none", "--otlp-file", "-"}, labArgs(l)...)...)
	stderr, attached := watch("attached")
	p.Stdout, p.Stderr = w, stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	<-attached
	flood(t, l, 12000) // more spans than the queue holds
	begin := time.Now()
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = p.Wait()
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("ended %v after Ctrl-C", took)
	}
	if p.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, want status 1", err)
	}
	for _, want := range []string{"queue_full", "12000 pings", "never taken: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("does not say %q:\n%s", want, stderr)
		}
	}
}

func flood(t *testing.T, l *lab.Lab, count int) {
	t.Helper()
	ns, err := l.Open(lab.Guest)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if _, err := pinger.Run(t.Context(), pinger.Config{NetNS: ns, Target: l.Target(false), Count: count, Flood: true, Timeout: patience}); err != nil {
		t.Fatal(err)
	}
}

// A run that cannot begin leaves what an earlier one has written.
func TestFilesOfEarlierRunsAreKept(t *testing.T) {
	dir, err := os.MkdirTemp("", testPrefix()) //nolint:usetesting // others must be able to write there
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	traces, recording := filepath.Join(dir, "traces.jsonl"), filepath.Join(dir, "run.dwell")
	for _, path := range []string{traces, recording} {
		if err := os.WriteFile(path, []byte("earlier"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(os.TempDir(), testPrefix()+".kept.exe")
	copyExecutable(t, exe)
	files := []string{"--otlp-file", traces, "--record", recording}
	for name, test := range map[string]struct {
		args []string
		uid  uint32
	}{
		"interface":         {append([]string{"trace", "--interface", "not/a-name"}, files...), 0},
		"endpoint":          {append([]string{"trace", "--otlp-endpoint", "ftp://192.0.2.1"}, files...), 0},
		"netfilter":         {append([]string{"trace", "--netfilter", "nowhere"}, files...), 0},
		"no permission":     {append([]string{"trace", "-o", "none"}, files...), 65534},
		"demo, endpoint":    {[]string{"demo", "--otlp-endpoint", "ftp://192.0.2.1", "--otlp-file", traces}, 0},
		"demo, permission":  {[]string{"demo", "--otlp-file", traces}, 65534},
		"replay, endpoint":  {[]string{"replay", "-o", "none", "--otlp-endpoint", "ftp://192.0.2.1", "--otlp-file", traces, transcript("nat")}, 0},
		"replay, no source": {[]string{"replay", "-o", "none", "--otlp-file", traces, "none"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := program(t, exe, test.args...)
			if test.uid != 0 && os.Geteuid() == 0 {
				p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: test.uid, Gid: test.uid}}
				p.Dir = "/"
			}
			status := p.exit(t)
			if status != 1 || strings.Contains(p.stderr.String(), "lab up") {
				t.Errorf("status %d\n%s", status, &p.stderr)
			}
			for _, path := range []string{traces, recording} {
				if got, err := os.ReadFile(path); err != nil || string(got) != "earlier" {
					t.Errorf("%s: %q, %v", path, got, err)
				}
			}
		})
	}
}
