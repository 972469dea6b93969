// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "attend" {
		return runAttend(ctx, args[1:], stdout, stderr)
	}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	r := &session{share: 0.02}
	flags.DurationVar(&r.duration, "duration", time.Minute, "how long")
	flags.DurationVar(&r.lease, "lease", 2*time.Second, "how long the fast path believes what it has learnt")
	flags.DurationVar(&r.pause, "pause", 100*time.Millisecond, "how long to wait between two changes, on average")
	flags.DurationVar(&r.prompt, "prompt", 10*time.Millisecond, "how long after a change that the kernel announces what it forbids may be seen")
	flags.Uint64Var(&r.seed, "seed", 1, "which changes: the same number is the same changes")
	flags.StringVar(&r.only, "only", "", "make only changes of this kind")
	flags.IntVar(&r.ip, "ip", 4, "the version of IP that all speak, 4 or 6")
	flags.StringVar(&r.dwell, "agent", "", "the `program` dwell: have its agent keep the fast path, with tracing, not a process of this one")
	flags.StringVar(&r.name, "name", "dwellchaos", "what the names of namespaces begin with")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return r.run(ctx, stdout)
}

func runAttend(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("attend", flag.ContinueOnError)
	flags.SetOutput(stderr)
	namespace := flags.String("namespace", "", "the hypervisor's")
	pin := flags.String("pin", "", "where programs are pinned")
	lease := flags.Duration("lease", time.Second, "how long the fast path believes what it has learnt")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return attend(ctx, *namespace, *pin, *lease, stdout)
}
