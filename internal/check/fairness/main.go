// SPDX-License-Identifier: Apache-2.0

// Command fairness measures what one tenant's flood takes from another's pings when they are
// traced.
//
// In the lab with two tenants, red floods with several processes while blue pings now and
// then, untraced and traced in alternation, because times drift with the machine. It prints
// blue's median round-trip time over all rounds, how many of blue's pings were traced
// completely, and what became of red's. It fails if any of blue's is missing or an event was
// lost. Everything that it starts and makes is gone when it ends.
//
//	go run ./internal/check/fairness --rounds 10 --length 10s --interval 1s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// config is the command line.
type config struct {
	rounds, senders  int
	length, interval time.Duration
	maxRate          float64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fairness:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	b := bench{config: cfg, stderr: stderr}
	untraced, traced, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if err := writeTable(stdout, cfg, untraced, traced); err != nil {
		return err
	}
	return verdict(traced)
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("fairness", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.rounds, "rounds", 10, "how often to measure each")
	flags.IntVar(&cfg.senders, "senders", runtime.NumCPU(), "how many processes of red flood")
	flags.DurationVar(&cfg.length, "length", 10*time.Second, "of a round, in whole seconds")
	flags.DurationVar(&cfg.interval, "interval", time.Second, "from one of blue's pings to the next")
	flags.Float64Var(&cfg.maxRate, "max-rate", 0, "pings a second to trace; 0: as many as dwell agent traces by default")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.rounds < 1 || cfg.senders < 1 || cfg.length < time.Second || cfg.interval <= 0 || cfg.maxRate < 0 {
		return cfg, errors.New("--rounds and --senders must be at least 1, --length at least 1s, --interval more than 0 and --max-rate not less")
	}
	return cfg, nil
}
