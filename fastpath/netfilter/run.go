// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dwelltrace/dwell/internal/netns"
)

// maxSaid is how much of what a program complains about is kept.
const maxSaid = 2000

// failure is that a program ended with an error.
type failure struct {
	program string
	said    string
	err     error
}

func (f *failure) Error() string {
	if f.said == "" {
		return fmt.Sprintf("%s: %v", f.program, f.err)
	}
	return fmt.Sprintf("%s: %s", f.program, f.said)
}

func (f *failure) Unwrap() error { return f.err }

// run runs a program in the namespace and returns what it prints.
func (t *Tables) run(ctx context.Context, input, path string, args ...string) (string, error) {
	limit := t.options.Timeout
	if limit == 0 {
		limit = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit+t.lockWait())
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	// One that waits for the lock must not change anything after its agent was killed. The kernel goes
	// by the thread that started it, so that thread waits, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := onThread(t.options.NetNS, cmd.Run)
	if err == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return "", &failure{program: filepath.Base(path), said: said(stderr.Bytes()), err: err}
}

// onThread runs fn on a thread of its own in the namespace, which the programs that it starts get;
// nil is the process's.
func onThread(ns *netns.NS, fn func() error) error {
	if ns != nil {
		return ns.Do(fn)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return fn()
}

// said returns what a program complained about, without warnings and advice how to get help.
func said(stderr []byte) string {
	var lines []string
	for l := range strings.Lines(string(stderr[:min(len(stderr), maxSaid)])) {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "# Warning") && !strings.HasPrefix(l, "Try `") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "; ")
}

func (t *Tables) lockWait() time.Duration {
	if t.options.LockWait == 0 {
		return DefaultLockWait
	}
	return t.options.LockWait
}

// restore runs a transaction.
func (t *Tables) restore(ctx context.Context, path string, s *script) error {
	wait := t.lockWait()
	_, err := t.run(ctx, s.String(), path, "--noflush", "--counters", "--wait", strconv.Itoa(max(int(wait.Seconds()), 1)))
	if f := new(failure); errors.As(err, &f) {
		if strings.Contains(f.said, "holding the xtables lock") {
			return &LockedError{Holder: lockHolder(), Waited: wait}
		}
		return s.explain(f)
	}
	return err
}
