// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// More pings than one round has are sent and answered, and the lab is gone.
func TestLabRun(t *testing.T) {
	prefix := labPrefix(t)
	p := dwell(t, "lab", "run", "bridge", "--prefix", prefix, "--count", "70", "--interval", "1ms")
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	for _, want := range []string{"dwell: lab up: ", "pinging 203.0.113.8 every 1ms", "dwell: lab down: 70 pings, 70 replies"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, &p.stderr)
		}
	}
	checkEachLine(t, p.stderr.String())
	if _, err := lab.Get("bridge", lab.Options{Prefix: prefix}); err == nil {
		t.Error("the lab is still up")
	}
}

// Both tenants' guests ping the outside, and one pings the other.
func TestLabRunTenants(t *testing.T) {
	prefix := labPrefix(t)
	p := dwell(t, "lab", "run", "tenants", "--prefix", prefix, "--count", "3", "--interval", "1ms")
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	for _, want := range []string{"pinging 203.0.113.8, 198.51.100.12 every 1ms", "dwell: lab down: 9 pings, 9 replies"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, &p.stderr)
		}
	}
	checkEachLine(t, p.stderr.String())
}

// docker stop sends SIGTERM: that is how it is meant to end. A lab that a killed run has
// left is taken over and removed.
func TestLabRunStopped(t *testing.T) {
	prefix := labPrefix(t)
	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		p := dwell(t, "lab", "run", "bridge", "--prefix", prefix, "--interval", "1ms")
		stderr, up := watch("lab up")
		p.Stderr = stderr
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		<-up
		if err := p.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		err := p.Wait()
		_, left := lab.Get("bridge", lab.Options{Prefix: prefix})
		switch {
		case end == syscall.SIGKILL && left != nil:
			t.Fatalf("nothing left to take over: %v", left)
		case end == syscall.SIGTERM && (err != nil || left == nil):
			t.Errorf("%v, and the lab: %v\n%s", err, left, stderr)
		}
	}
}

func TestLabRunErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "name one topology"},
		{[]string{"brigde"}, `unknown topology "brigde"`},
		{[]string{"bridge", "--count", "-1"}, "--count -1"},
		{[]string{"bridge", "--interval", "0s"}, "--interval 0s"},
	} {
		if test.args != nil && test.args[0] == "brigde" {
			labPrefix(t) // privileges are looked at first
		}
		p := dwell(t, append([]string{"lab", "run"}, test.args...)...)
		if status := p.exit(t); status != 1 {
			t.Errorf("%v: status %d", test.args, status)
		}
		checkOneLine(t, p.stderr.String(), test.want)
	}
}
