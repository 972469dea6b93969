// SPDX-License-Identifier: Apache-2.0

// Command soak shows whether the agent's memory grows: it runs dwell agent under an hour's
// worth of flood pings, as fast as it keeps up, and prints what it holds as it goes on.
//
// An hour's worth is 3,600,000 pings, 1000 a second. They go through the bridge lab; the
// agent makes a trace of each, counts it in its metrics and sends it over OTLP to a sink in
// this program, which answers at once and keeps nothing. After every 5000 pings the agent
// must have traced and sent them all, so that nothing is measured but what it keeps. The
// first quarter is for caches to fill. Everything that it starts and makes is gone when it ends, and it fails if
// memory has grown since then by more than --allow.
//
//	go run ./internal/check/soak --dwell bin/dwell --pings 3600000
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

	"github.com/dwelltrace/dwell/internal/check/otlpsink"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// hourful is how many pings an hour's worth is.
const hourful = 3600 * 1000

// config is the command line.
type config struct {
	dwell          string
	pings, samples int
	allow          float64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.dwell, "dwell", "bin/dwell", "the `program` to watch")
	flags.IntVar(&cfg.pings, "pings", hourful, "how many pings")
	flags.IntVar(&cfg.samples, "samples", 60, "how often to look at the memory meanwhile")
	flags.Float64Var(&cfg.allow, "allow", 16, "by how many `MiB` memory may have grown since the first quarter")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.samples < 8 || cfg.pings < cfg.samples {
		return cfg, errors.New("--samples must be at least 8, and --pings no less than that")
	}
	return cfg, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	prefix := fmt.Sprintf("soak%d", os.Getpid())
	l, err := lab.Up(ctx, "bridge", lab.Options{Prefix: prefix})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	var sink otlpsink.Sink
	if err := sink.Listen(ctx); err != nil {
		return err
	}
	defer sink.Close()
	a, err := startAgent(ctx, cfg.dwell, prefix, sink.Address(), stderr)
	if err != nil {
		return err
	}
	samples, err := watch(ctx, cfg, l, a, stdout)
	if err := errors.Join(err, a.Stop()); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The sink was sent %d requests, %.0f MiB.\n", sink.Counts().Requests, float64(sink.Counts().Bytes)/mib)
	return verdict(stdout, samples, cfg.allow)
}

// batch is how many pings go before the agent must have caught up: their spans fit into
// its queue.
const batch = 5000

// watch pings, and samples the agent's memory at even intervals.
func watch(ctx context.Context, cfg config, l *lab.Lab, a agent, w io.Writer) ([]sample, error) {
	guest, err := l.Open(lab.Guest)
	if err != nil {
		return nil, err
	}
	defer guest.Close()
	var samples []sample
	begin := time.Now()
	printHead(w)
	for i, sent := 0, 0; i < cfg.samples; i++ {
		var s sample
		for end := (i + 1) * cfg.pings / cfg.samples; sent < end; {
			n := min(end-sent, batch)
			if _, err := pinger.Run(ctx, pinger.Config{NetNS: guest, Target: l.Target(false), Count: n, Flood: true}); err != nil {
				return nil, err
			}
			sent += n
			if s, err = a.caughtUp(ctx, sent); err != nil {
				return nil, err
			}
		}
		samples = append(samples, s)
		s.print(w, time.Since(begin))
	}
	return samples, nil
}
