// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is one that runs until the test ends.
type process struct {
	name string
	// log is the file with what it prints.
	log string
	// ended is closed when it has, for the reason err.
	ended chan struct{}
	err   error
}

// start starts a program in the place. It is stopped in good order when the test ends,
// and must have run until then.
func (p place) start(t testing.TB, name, program string, args ...string) *process {
	t.Helper()
	proc := &process{name: name, log: filepath.Join(t.TempDir(), name+".log"), ended: make(chan struct{})}
	log, err := os.Create(proc.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	if share := shareOf(program); share != "" {
		cmd = exec.CommandContext(ctx, "unshare", append([]string{
			"--mount", "sh", "-c", `mount --bind "$0" /usr/share && exec "$@"`, share, program,
		}, args...)...)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second                                   // then it is killed
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test panics
	if err := p.Do(cmd.Start); err != nil {
		stop()
		log.Close()
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(proc.ended)
		proc.err = cmd.Wait()
		log.Close()
	}()
	t.Cleanup(func() {
		select {
		case <-proc.ended:
			t.Errorf("%s ended too early: %v", name, proc.err)
		default:
		}
		stop()
		<-proc.ended
		if proc.err != nil && !errors.Is(proc.err, context.Canceled) {
			t.Errorf("stopping %s: %v", name, proc.err)
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, proc.tail())
		}
	})
	return proc
}

// shareOf returns what an unpacked package has for /usr/share, or "" for a program that
// is installed: Debian's Alertmanager looks for its templates there. It sees them in a
// mount namespace of its own.
func shareOf(program string) string {
	usr, found := strings.CutSuffix(filepath.Dir(program), "/bin")
	if !found || !strings.HasSuffix(usr, unpacked+"/usr") {
		return ""
	}
	return filepath.Join(usr, "share")
}

// tail returns the end of what it printed.
func (p *process) tail() []byte {
	const lines = 40
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	all := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], nil)
}

// await waits until ok returns nothing that is missing. A process that ends meanwhile
// ends the test.
func await(t testing.TB, what string, processes []*process, ok func() (missing string)) {
	t.Helper()
	const (
		bound = 3 * time.Minute // a machine may be busy; what is waited for mostly takes seconds
		every = 100 * time.Millisecond
	)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		missing := ok()
		if missing == "" {
			return
		}
		for _, p := range processes {
			select {
			case <-p.ended:
				t.Fatalf("waiting for %s: %s ended: %v", what, p.name, p.err)
			default:
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited %v for %s: %s", bound, what, missing)
		}
	}
}
