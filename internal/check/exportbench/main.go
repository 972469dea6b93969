// SPDX-License-Identifier: Apache-2.0

// Command exportbench measures what sending a span costs: through dwell's exporter,
// through the same with a spool, and through the OpenTelemetry SDK's batch processor
// and exporter.
//
// All three get the same spans, ready-made, and send them to the same sink in a process
// of its own. What is counted is the CPU time, user and system, of the exporting
// process from the first span to the end of the shutdown, so that neither the sink nor
// the making of the spans is in it. Rounds alternate, because the speed of a machine
// drifts, and the ratios are of pairs of one round. Queues and batches have the same
// sizes, and a test holds what arrives from one against what arrives from the others.
//
// All pings take one way, which suits dwell's encoder best, because it keeps what repeats
// in encoded form. The SDK could do the same and does not; but a host that sees thousands
// of different ways at once gets less out of it than stands here. With the spool, batches
// go straight through: what it costs to fill it up and to drain it while a backend is
// away is not measured.
//
//	go run ./internal/check/exportbench --rounds 5 --spans 500000
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "exportbench:", err)
		os.Exit(1)
	}
}

// config is the command line.
type config struct {
	rounds, spans int
	// role is empty for who compares, and otherwise what this process is.
	role, endpoint, profile string
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	switch cfg.role {
	case "":
		return compare(ctx, cfg, stdout, stderr)
	case "sink":
		return serveSink(ctx, stdin, stdout)
	}
	return work(ctx, cfg, stdout)
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("exportbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.rounds, "rounds", 5, "how often to measure each")
	flags.IntVar(&cfg.spans, "spans", 500_000, "about how many spans each time")
	flags.StringVar(&cfg.role, "role", "", "for its own processes: sink, or one of "+fmt.Sprint(exporters()))
	flags.StringVar(&cfg.endpoint, "endpoint", "", "for its own processes: the sink's `address`")
	flags.StringVar(&cfg.profile, "profile", "", "for its own processes: a CPU profile's `file`")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.rounds < 1 || cfg.spans < 1 {
		return cfg, errors.New("--rounds and --spans must be at least 1")
	}
	return cfg, nil
}
