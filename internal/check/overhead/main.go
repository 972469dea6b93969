// SPDX-License-Identifier: Apache-2.0

// Command overhead measures what watching a ping costs the ping.
//
// In the bridge lab it floods pings unwatched, under dwell trace, of all pings and of a sample, and under
// others at the tracepoints that dwell uses: programs that do nothing, bpftrace that counts and perf record.
// It does so in alternation, because times drift with the machine and only ratios within one run mean
// anything. It prints the medians over the rounds.
// Everything that it starts and makes is gone when it ends.
//
//	go run ./internal/check/overhead --dwell bin/dwell --rounds 3 --count 20000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// config is the command line.
type config struct {
	dwell, target string
	rounds, count int
	// ratio is that of a row with sampling, 0 for none.
	ratio float64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "overhead:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dwell-overhead-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	bench := bench{config: cfg, dir: dir, stderr: stderr}
	results, err := bench.measure(ctx)
	if err != nil {
		return err
	}
	if err := writeTable(stdout, cfg, results); err != nil {
		return err
	}
	return verdict(results)
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("overhead", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.dwell, "dwell", "bin/dwell", "the `program` to measure")
	flags.StringVar(&cfg.target, "target", "203.0.113.8", "the `address` in the lab to ping")
	flags.IntVar(&cfg.rounds, "rounds", 3, "how often to measure each")
	flags.IntVar(&cfg.count, "count", 20000, "pings each time")
	flags.Float64Var(&cfg.ratio, "sample-ratio", 0.01, "measure with this `fraction` of the pings traced, too; 0: not")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.ratio < 0 || cfg.ratio > 1 {
		return cfg, errors.New("--sample-ratio must be between 0 and 1")
	}
	if cfg.rounds < 1 || cfg.count < 1 || cfg.count > 1<<16 {
		// Past 65,536 the sequence number comes round within one trace file.
		return cfg, errors.New("--rounds must be at least 1 and --count between 1 and 65536")
	}
	return cfg, nil
}
