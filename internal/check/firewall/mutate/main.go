// SPDX-License-Identifier: Apache-2.0

// Command mutate takes guards of the firewall, of the fast path and of the tracer's rings away, one at a time,
// and checks that a test notices.
//
// It works on a copy of the tree. A guard whose absence no test notices is named at the end, and
// the command fails.
//
//	go run ./internal/check/firewall/mutate            # all
//	go run ./internal/check/firewall/mutate -only proof.h  # those whose line has it
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// testTimeout is for one mutation: generating, building and testing.
const testTimeout = 10 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "only guards whose line in the list has this in it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dwell-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(ctx, dir); err != nil {
		return err
	}
	list, err := mutations(".")
	if err != nil {
		return err
	}
	var survived []string
	count := 0
	for i := range list {
		m := &list[i]
		if !strings.Contains(m.String(), *only) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		count++
		found, err := m.try(ctx, dir)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", m, err)
		case found == "":
			survived = append(survived, m.String())
			fmt.Fprintf(stdout, "SURVIVED  %s\n", m)
		default:
			fmt.Fprintf(stdout, "noticed   %s by %s\n", m, found)
		}
	}
	fmt.Fprintf(stdout, "%d guards taken away, %d noticed\n", count, count-len(survived))
	if len(survived) > 0 {
		return fmt.Errorf("no test notices that these are gone: %s", strings.Join(survived, "; "))
	}
	return nil
}

// copyTree copies the files that git knows to the directory.
func copyTree(ctx context.Context, dir string) error {
	script := `git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$0" 2>/dev/null; test -f "$0/go.mod"`
	if out, err := exec.CommandContext(ctx, "bash", "-c", script, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("copying the tree (run this at its top, in a git clone): %w: %s", err, out)
	}
	return nil
}

// apply takes the guard away in the tree, and fails if that changes nothing.
func (m *mutation) apply(ctx context.Context, dir string) error {
	path := filepath.Join(dir, m.file)
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := command(ctx, dir, "sed", "-i", "-e", m.script, m.file); err != nil {
		return err
	}
	after, err := os.ReadFile(path)
	if err == nil && bytes.Equal(before, after) {
		err = fmt.Errorf("%s has nothing that %s changes: the list is out of date", m.file, m.script)
	}
	return err
}

// try tests the tree without the guard and returns the first test that fails, or "".
func (m *mutation) try(ctx context.Context, dir string) (found string, err error) {
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	path := filepath.Join(dir, m.file)
	before, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, before, 0o644)) }()
	if err := m.apply(ctx, dir); err != nil {
		return "", err
	}
	if m.generate != "" {
		if err := command(ctx, dir, "go", "generate", "./"+m.generate); err != nil {
			return "", err
		}
	}
	return firstFailure(ctx, dir, m)
}

// firstFailure runs the tests and returns the name of one that failed, or "" if all passed.
func firstFailure(ctx context.Context, dir string, m *mutation) (string, error) {
	args := []string{"test", "-count=1", "-failfast", "-run", m.test, m.pkg}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "", nil
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return name, nil
		}
	}
	return "", fmt.Errorf("go %s fails, but no test does: %w\n%s", strings.Join(args, " "), err, tail(out))
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(out))
	}
	return nil
}

// tail returns the last lines of what a program printed.
func tail(out []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], []byte("\n"))
}
