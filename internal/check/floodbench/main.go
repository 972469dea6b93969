// SPDX-License-Identifier: Apache-2.0

// Command floodbench floods pings for a long time under dwell agent, which sends their traces
// over OTLP/gRPC to an endpoint in this process, and shows that nothing grows and nothing is lost
// uncounted.
//
// It runs ping -f at the machine's full rate in the bridge lab, and once a second notes the
// agent's memory and counters. How many events there must have been follows from how many one
// ping has, which is measured first, in calm. In the end, all of these must be accounted for: events
// that were read, that were left out on purpose and that were lost; spans that the endpoint has
// taken and that were given up. A chart is written as an SVG file. Everything that it starts and
// makes is gone when it ends.
//
//	go run ./internal/check/floodbench --dwell bin/dwell --duration 10m --svg flood.svg
//
// With --steady it does not flood but sends pings at steady paces that nothing limits, each for
// --duration, and tells what the agent's CPU time is a second and what it is an event. Pace 0 is the
// agent at rest, also while its metrics are read once a second.
//
//	go run ./internal/check/floodbench --dwell bin/dwell --duration 10s --steady 0,500,2000,5000
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

	"github.com/dwelltrace/dwell/internal/check/agentproc"
	"github.com/dwelltrace/dwell/internal/check/otlpsink"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// config is the command line.
type config struct {
	dwell, svg, maxRate, file string
	duration, every           time.Duration
	ratio, allow              float64
	steady                    paces
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "floodbench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("floodbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.dwell, "dwell", "bin/dwell", "the `program` to watch")
	flags.DurationVar(&cfg.duration, "duration", 10*time.Minute, "how long to flood")
	flags.DurationVar(&cfg.every, "print", 10*time.Second, "how often to print a line")
	flags.StringVar(&cfg.svg, "svg", "", "write a chart to this `file`")
	flags.Float64Var(&cfg.ratio, "ratio", 1, "sampling.ratio")
	flags.StringVar(&cfg.maxRate, "max-rate", "auto", "trace.max_rate")
	flags.StringVar(&cfg.file, "file", "", "write the traces to this `file`, too")
	flags.Float64Var(&cfg.allow, "allow", 32, "by how many `MiB` memory may have grown since the first quarter")
	flags.Var(&cfg.steady, "steady", "do not flood but send so many `pings` a second, several paces one after the other")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if len(cfg.steady) > 0 {
		cfg.maxRate = "0"
		if cfg.duration < time.Second {
			return cfg, errors.New("--duration must be at least 1s")
		}
		return cfg, nil
	}
	if cfg.duration < 8*time.Second || cfg.every < time.Second {
		return cfg, errors.New("--duration must be at least 8s, and --print at least 1s")
	}
	return cfg, nil
}

// configuration is what the agent is to do.
func (c config) configuration(prefix, endpoint string) string {
	text := fmt.Sprintf(`
trace:
  netns: ["%[1]s-*"]
  hypervisors: ["%[1]s-bridge-hypervisor"]
  netfilter: [none]
  max_rate: %[3]s
sampling: {ratio: %[4]g}
log: {level: warn}
export:
  otlp: {endpoint: "http://%[2]s"}
`, prefix, endpoint, c.maxRate, c.ratio)
	if c.file != "" {
		text += fmt.Sprintf("  file: %q\n", c.file)
	}
	return text
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	prefix := fmt.Sprintf("flood%d", os.Getpid())
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
	a, err := agentproc.Start(ctx, cfg.dwell, cfg.configuration(prefix, sink.Address()), stderr)
	if err != nil {
		return err
	}
	_, guest := l.NetNS(lab.Guest)
	b := &bench{config: cfg, agent: a, sink: &sink, guest: guest, target: l.Target(false).String(), out: stdout}
	if len(cfg.steady) > 0 {
		return errors.Join(b.steadily(ctx), a.Stop())
	}
	err = b.measure(ctx)
	if err := errors.Join(err, a.Stop()); err != nil {
		return err
	}
	if cfg.svg != "" {
		if err := b.draw(cfg.svg); err != nil {
			return err
		}
	}
	return b.verdict()
}
