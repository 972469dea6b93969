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
	"strconv"
	"strings"
	"time"
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
	start := cmd.Start
	if ns := t.options.NetNS; ns != nil {
		start = func() error { return ns.Do(cmd.Start) } // the program gets the thread's namespace
	}
	if err := start(); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	err := cmd.Wait()
	if err == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return "", &failure{program: filepath.Base(path), said: said(stderr.Bytes()), err: err}
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
