// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// grace is how long a program may take to end after it was asked to.
const grace = 30 * time.Second

// bench runs pings in the lab, watched or not.
type bench struct {
	config
	// dir is for files that are gone afterwards.
	dir    string
	stderr io.Writer
}

// watcher is a way to watch; run floods the pings under it. share is the share of them that is to have
// traces, 0 if it makes none.
type watcher struct {
	name  string
	share float64
	// counts is whether it says how many events it has lost.
	counts bool
	run    func(context.Context) (sample, error)
}

func (b *bench) watchers() []watcher {
	all := []watcher{
		{"nothing", 0, false, b.unwatched},
		{"programs that do nothing", 0, false, b.idled},
		{"dwell trace", 1, true, func(ctx context.Context) (sample, error) { return b.traced(ctx) }},
	}
	if b.ratio > 0 {
		all = append(all, watcher{fmt.Sprintf("dwell trace, %g %%", b.ratio*100), b.ratio, true, func(ctx context.Context) (sample, error) {
			return b.traced(ctx, "--sample-ratio", strconv.FormatFloat(b.ratio, 'g', -1, 64))
		}})
	}
	return append(all, watcher{"bpftrace, counting", 0, false, b.counted}, watcher{"perf record", 0, true, b.recorded})
}

func (b *bench) measure(ctx context.Context) ([]result, error) {
	if err := b.lab(ctx, "up", "bridge"); err != nil {
		return nil, err
	}
	// Even if the context is done, the lab goes.
	defer func() {
		if err := b.lab(context.WithoutCancel(ctx), "down", "bridge"); err != nil {
			fmt.Fprintln(b.stderr, "overhead:", err)
		}
	}()
	watchers := b.watchers()
	results := make([]result, len(watchers))
	for round := range b.rounds {
		for i, w := range watchers {
			fmt.Fprintf(b.stderr, "round %d of %d: %s\n", round+1, b.rounds, w.name)
			s, err := w.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			results[i].name, results[i].share, results[i].counts = w.name, w.share, w.counts
			results[i].samples = append(results[i].samples, s)
		}
	}
	return results, nil
}

func (b *bench) lab(ctx context.Context, args ...string) error {
	return errOf(b.command(ctx, b.dwell, append([]string{"lab"}, args...)...))
}

// flood is the command line of the pings, inside the lab's guest.
func (b *bench) flood() []string {
	return []string{
		b.dwell, "lab", "exec", "bridge", "--",
		"ping", "-q", "-f", "-c", strconv.Itoa(b.count), b.target,
	}
}

func (b *bench) unwatched(ctx context.Context) (sample, error) {
	return b.ping(b.command(ctx, b.flood()[0], b.flood()[1:]...))
}

// ping runs a command whose output is ping's.
func (b *bench) ping(cmd *exec.Cmd) (sample, error) {
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := errOf(cmd); err != nil {
		return sample{}, err
	}
	return parsePing(out.String())
}

// command prepares a program that is interrupted, not killed, when ctx is done, so
// that it cleans up behind itself.
func (*bench) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = grace
	return cmd
}

// errOf runs a command; the error has what it said on stderr.
func errOf(cmd *exec.Cmd) error {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", cmd, err), errors.New(string(bytes.TrimSpace(stderr.Bytes()))))
	}
	return nil
}
