// SPDX-License-Identifier: Apache-2.0

// Command verify compares the fast path with the kernel: packets at random, on two hypervisors that are
// alike but for the fast path, of each kind. It fails at the first frame that differs, and prints the packets
// that led to it, as few as it can find.
//
//	go run ./internal/check/fastpath/verify --packets 1000000 --specs nat,bridge
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

	"github.com/dwelltrace/dwell/internal/check/fastpath/twin"
)

// config is the command line.
type config struct {
	packets, size int
	first         uint64
	share         int
	specs         []twin.Spec
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	var all totals
	for _, spec := range cfg.specs {
		if err := cfg.verify(ctx, spec, &all, stdout, stderr); err != nil {
			return fmt.Errorf("%s: %w", spec.Name, err)
		}
	}
	fmt.Fprintf(stdout, "%d packets on %d kinds of hypervisors, %d of them fast; %d frames came out of each, 0 differ\n",
		all.sent, len(cfg.specs), all.fast, all.came)
	return context.Cause(ctx)
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	var specs string
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.packets, "packets", 2_000_000, "how many packets in all")
	flags.IntVar(&cfg.size, "case", 2000, "how many packets a case has, before which all is forgotten")
	flags.Uint64Var(&cfg.first, "first", 0, "the number of the first case: the same number is the same case")
	flags.IntVar(&cfg.share, "share", 15, "how many of a hundred packets must take the fast path")
	flags.StringVar(&specs, "specs", "", "kinds of hypervisors, comma-separated; empty for all")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.packets < 1 || cfg.size < 1 {
		return cfg, errors.New("--packets and --case must be at least 1")
	}
	if specs == "" {
		cfg.specs = twin.Specs()
		return cfg, nil
	}
	for name := range strings.SplitSeq(specs, ",") {
		spec, err := twin.SpecNamed(name)
		if err != nil {
			return cfg, err
		}
		cfg.specs = append(cfg.specs, spec)
	}
	return cfg, nil
}

// totals is what was compared so far.
type totals struct {
	sent, came, overtook int
	fast                 uint64
}

func (cfg *config) verify(ctx context.Context, spec twin.Spec, all *totals, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "dwell-verify-")
	if err != nil {
		return err
	}
	var driven *twin.Driven
	pair, err := twin.NewPair("dwellverify", spec, func(n *twin.Network) (_ twin.Subject, err error) {
		driven, err = twin.NewDriven(n, dir)
		return driven, err
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, pair.Close(), os.RemoveAll(dir)) }()
	began, t := time.Now(), totals{}
	for seed := cfg.first; t.sent < cfg.packets/len(cfg.specs); seed++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.compare(ctx, pair, twin.NewCase(spec, seed, cfg.size), seed, stderr); err != nil {
			return err
		}
	}
	counts, err := driven.Counts()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d packets, %d frames, 0 differ, %d overtook, in %.0f s\n  %s\n",
		spec.Name, t.sent, t.came, t.overtook, time.Since(began).Seconds(), counts.String())
	if counts.Differ > 0 {
		return fmt.Errorf("%d packets were foretold wrong", counts.Differ)
	}
	if counts.Share()*100 < float64(cfg.share) {
		return fmt.Errorf("only %.0f %% of the packets were fast", counts.Share()*100)
	}
	all.sent, all.came, all.overtook, all.fast = all.sent+t.sent, all.came+t.came, all.overtook+t.overtook, all.fast+counts.Fast
	return nil
}

// compare runs one case and returns an error that describes a difference.
func (t *totals) compare(ctx context.Context, pair *twin.Pair, c *twin.Case, seed uint64, stderr io.Writer) error {
	r, err := pair.Run(c)
	if err != nil {
		return fmt.Errorf("case %d: %w", seed, err)
	}
	if r.Difference != "" {
		fmt.Fprintf(stderr, "case %d: %s\nmaking it smaller, which takes minutes …\n", seed, r.Difference)
		small := twin.Shrink(c, func(c *twin.Case) bool {
			r, err := pair.Run(c)
			return ctx.Err() == nil && err == nil && r.Difference != ""
		})
		last, err := pair.Run(small)
		return errors.Join(fmt.Errorf("case %d: %s\nmade smaller: %s\n%s", seed, r.Difference, last.Difference, small), err)
	}
	t.sent += len(c.Steps)
	t.came += r.Want.Frames()
	t.overtook += r.Overtook
	return nil
}
