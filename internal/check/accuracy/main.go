// SPDX-License-Identifier: Apache-2.0

// Command accuracy holds traces against what ping itself prints.
//
// In the bridge lab it runs a real ping under dwell trace, reads the traces from the
// OTLP file, checks that each is complete and tiled by its leaves, and compares the
// root with the round-trip time that ping prints, one by one.
//
// ping takes its first time before it calls sendto, dwell sees the packet first at
// net_dev_queue. ping takes its second time from the kernel, which stamps the reply
// when it arrives (SO_TIMESTAMP); the root ends when the process takes the reply from
// its socket, after it has been woken. So the root may begin later than ping by the
// cost of sendto, and end later by as much as the last leaf, "deliver", is long.
//
//	go run ./internal/check/accuracy --dwell bin/dwell --count 100 --interval 10ms
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// config is the command line.
type config struct {
	dwell    string
	prefix   string
	count    int
	interval time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var cfg config
	flags := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	flags.StringVar(&cfg.dwell, "dwell", "bin/dwell", "the `program` to measure")
	flags.StringVar(&cfg.prefix, "prefix", "dwell", "`prefix` of the lab's namespaces")
	flags.IntVar(&cfg.count, "count", 100, "pings")
	flags.DurationVar(&cfg.interval, "interval", 10*time.Millisecond, "time from one ping to the next")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pings, err := measure(ctx, cfg)
	if err != nil {
		return err
	}
	return writeTable(os.Stdout, pings)
}
