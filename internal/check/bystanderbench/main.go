// SPDX-License-Identifier: Apache-2.0

// Command bystanderbench measures what tracing costs packets that are not an echo, which is what a host
// pays on which nobody pings.
//
// Two namespaces on a bridge send each other UDP and TCP, untraced, with an empty program at each
// tracepoint and traced in turn, because rates drift with the machine. Then each program is timed by the kernel, beside an empty one at the same
// tracepoint. It prints medians and quartiles of the pairs. Other packets of the machine pass the same
// programs: it should be quiet, and the output says if somebody pinged.
//
//	go run ./internal/check/bystanderbench --pairs 20 --json
//
// It fails if anything does not work, and not because a goal is missed: times are for people to judge.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// config is the command line.
type config struct {
	pairs, requests int
	length          time.Duration
	json, quick     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bystanderbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	b := &bench{config: cfg, stderr: stderr}
	r, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if !cfg.json {
		return r.write(stdout)
	}
	out := json.NewEncoder(stdout)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("bystanderbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.pairs, "pairs", 12, "how often to measure the rates, untraced and traced and with empty programs")
	flags.IntVar(&cfg.requests, "requests", 20_000, "transactions of TCP_RR each time")
	flags.DurationVar(&cfg.length, "length", time.Second, "how long to send UDP, and a TCP stream, each time")
	flags.BoolVar(&cfg.json, "json", false, "print JSON instead of tables")
	flags.BoolVar(&cfg.quick, "quick", false, "only see that it works, in a few seconds: the figures are of no use")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.quick {
		cfg.pairs, cfg.requests, cfg.length = 1, 50, 20*time.Millisecond
	}
	if cfg.pairs < 1 || cfg.requests < 1 || cfg.length <= 0 {
		return cfg, errors.New("--pairs, --requests and --length must be more than 0")
	}
	return cfg, nil
}

// kernel returns what the kernel calls itself.
func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "Linux"
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:])
}
