// SPDX-License-Identifier: Apache-2.0

// Command faultsoak runs dwell agent for a long time while everything around it goes wrong: its
// backend refuses, is slow or away, the disk of its spool is full, its file is rotated, its
// configuration is changed, namespaces come and go, and somebody floods.
//
// Meanwhile pings are sent of which the trace IDs are known, and the agent probes by itself. In
// the end, each of these traces must have arrived at the endpoint or be counted as lost, every
// probe must have a result, and memory must not have grown. How it went is printed as it goes, and
// drawn as an SVG file. Everything that it starts and makes is gone when it ends.
//
//	go run ./internal/check/faultsoak --dwell bin/dwell --duration 1h --svg soak.svg
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// config is the command line.
type config struct {
	dwell, svg                    string
	duration, step, every, settle time.Duration
	rate                          int
	allow                         float64
	steps                         []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "faultsoak:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	var names string
	flags := flag.NewFlagSet("faultsoak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.dwell, "dwell", "bin/dwell", "the `program` to watch")
	flags.DurationVar(&cfg.duration, "duration", time.Hour, "for how long")
	flags.DurationVar(&cfg.step, "step", 20*time.Second, "how long something is wrong each time; half as long nothing is, then")
	flags.DurationVar(&cfg.settle, "settle", 10*time.Second, "for how long nothing is expected of sampling around a change of it")
	flags.DurationVar(&cfg.every, "print", time.Minute, "how often to print a line")
	flags.StringVar(&cfg.svg, "svg", "", "write a chart to this `file`")
	flags.IntVar(&cfg.rate, "rate", 200, "how many `pings` a second whose traces are accounted for")
	flags.Float64Var(&cfg.allow, "allow", 64, "by how many `MiB` memory may have grown since the first quarter; negative for any")
	flags.StringVar(&names, "steps", strings.Join(stepNames(), ","), "what goes wrong, in turn")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	cfg.steps = strings.Split(names, ",")
	for _, name := range cfg.steps {
		if steps()[name] == nil {
			return cfg, fmt.Errorf("--steps: there is no %q; choose from: %s", name, strings.Join(stepNames(), ", "))
		}
	}
	if cfg.rate < 4 || cfg.rate > 4000 || cfg.step < time.Second || cfg.duration < cfg.step || cfg.every < time.Second {
		return cfg, errors.New("--rate is between 4 and 4000, --step and --print at least 1s, and --duration no shorter than --step")
	}
	return cfg, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	s := &soak{config: cfg, out: stdout, stderr: stderr, begin: time.Now()}
	err = s.up(ctx)
	if err == nil {
		err = s.run(ctx)
	}
	if err := errors.Join(err, s.down(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	if cfg.svg != "" {
		if err := s.draw(cfg.svg); err != nil {
			return err
		}
	}
	return s.verdict()
}
