// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// labSpaces lists the namespaces of this process's labs.
func labSpaces(t *testing.T) []string {
	t.Helper()
	all, err := netns.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		if strings.HasPrefix(e.Name, testPrefix()) {
			names = append(names, e.Name)
		}
	}
	return names
}

func TestDemo(t *testing.T) {
	privilegetest.BPF(t)
	before := programs(t)
	p := dwell(t, "demo", "--count", "20", "--prefix", testPrefix())
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	for _, want := range []string{"ping 192.168.0.10 -> 203.0.113.8", "├─ hypervisor", "P99", "bridge ovs-br"} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &p.stdout)
		}
	}
	if want := "20 pings: 20 complete, 0 dropped, 0 incomplete"; !strings.Contains(p.stderr.String(), want) {
		t.Errorf("no %q in\n%s", want, &p.stderr)
	}
	if left := labSpaces(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	checkProgramsGone(t, before)
}

// Ctrl-C in the middle: no namespace and no program stays, and what was seen is shown.
func TestDemoInterrupted(t *testing.T) {
	privilegetest.BPF(t)
	before := programs(t)
	p := dwell(t, "demo", "--count", "100000", "--prefix", testPrefix())
	stderr, up := watch("lab up")
	p.Stderr = stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	<-up
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil || p.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, want status 1", err)
	}
	if !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("does not say that it was interrupted:\n%s", stderr)
	}
	if left := labSpaces(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	checkProgramsGone(t, before)
}

// A lab that somebody works in stays up.
func TestDemoKeepsALabThatWasUp(t *testing.T) {
	l := testLab(t)
	if status := dwell(t, "demo", "--count", "1", "--prefix", testPrefix()).exit(t); status != 0 {
		t.Fatalf("status %d", status)
	}
	if left := labSpaces(t); len(left) != len(l.Topology().Roles()) {
		t.Errorf("left: %v", left)
	}
}

func TestDemoErrors(t *testing.T) {
	p := dwell(t, "demo", "--count", "0")
	if status := p.exit(t); status != 1 {
		t.Errorf("status %d", status)
	}
	checkOneLine(t, p.stderr.String(), "--count 0")
}
