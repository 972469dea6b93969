// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asDwell makes this test binary behave as dwell itself.
const asDwell = "DWELL_TEST_AS_DWELL"

func TestMain(m *testing.M) {
	if os.Getenv(asDwell) != "" {
		os.Exit(run(os.Args[1:]))
	}
	// Under nohup SIGHUP is ignored, and SIGINT in what a script starts in the background.
	// dwell leaves the one so, and a shell both, but the tests send them. A signal that is
	// caught here is at its default in the processes that we start.
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	goleak.VerifyTestMain(m)
}

// process is dwell running as a process of its own.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// dwell returns a process that runs dwell with args, not yet started.
func dwell(t *testing.T, args ...string) *process {
	t.Helper()
	return program(t, "/proc/self/exe", args...)
}

// program returns a process that runs a command in whose environment this test binary
// is dwell.
func program(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), name, args...)}
	p.Env = append(os.Environ(), asDwell+"=1")
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.Cancel = func() error { return p.Process.Signal(syscall.SIGINT) }
	p.WaitDelay = 20 * time.Second
	return p
}

// exit runs the process to its end and returns its exit status.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	err := p.Run()
	if err != nil && p.ProcessState == nil {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

// testPrefix is the prefix of the namespaces of this test process's labs.
func testPrefix() string { return fmt.Sprintf("dwc%d", os.Getpid()) }
