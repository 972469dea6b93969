// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/netns"
)

// kernel runs the installed iptables in a network namespace of its own.
type kernel struct {
	ns      *netns.NS
	backend string
}

func newKernel(backend string) (*kernel, error) {
	ns, err := netns.Create("dwell-corpus-" + backend + "-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		return nil, err
	}
	return &kernel{ns: ns, backend: backend}, nil
}

func (k *kernel) close() error {
	return errors.Join(k.ns.Close(), netns.Delete(k.ns.Name()))
}

// refusal is what iptables says of what it does not take.
type refusal struct{ said string }

func (r *refusal) Error() string { return r.said }

// run runs a program, and returns a *refusal if it fails.
func (k *kernel) run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	err := k.ns.Do(func() error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		return cmd.Run()
	})
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return "", &refusal{strings.TrimSpace(stderr.String())}
	}
	return stdout.String(), err
}

// restore adds what is in the text of a table to it.
func (k *kernel) restore(ctx context.Context, f header.Family, text string) error {
	_, err := k.run(ctx, text, program(f, k.backend)+"-restore", "--noflush")
	return err
}

// list returns the rules of a table, without their counters.
func (k *kernel) list(ctx context.Context, f header.Family, table string) ([]string, error) {
	text, err := k.run(ctx, "", program(f, k.backend)+"-save", "-t", table)
	if err != nil {
		return nil, err
	}
	var rules []string
	for l := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(l, "-A ") {
			rules = append(rules, l)
		}
	}
	return rules, nil
}

// clear deletes all rules and chains of a table.
func (k *kernel) clear(ctx context.Context, f header.Family, table string) error {
	for _, op := range []string{"-F", "-X"} {
		if _, err := k.run(ctx, "", program(f, k.backend), "-t", table, op); err != nil {
			return fmt.Errorf("%s of table %s: %w", op, table, err)
		}
	}
	return nil
}

var lineNumber = regexp.MustCompile(`(?i)line:? (\d+)`)

// refusedLine returns the number of the line of which a refusal speaks, or 0.
func refusedLine(err error) int {
	var r *refusal
	if !errors.As(err, &r) {
		return 0
	}
	all := lineNumber.FindAllStringSubmatch(r.said, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(all[0][1])
	if err != nil {
		return 0
	}
	return n
}
