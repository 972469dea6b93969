// SPDX-License-Identifier: Apache-2.0

// Command verify compares dwell's firewall with iptables: rule sets at random, packets at random,
// on two hypervisors that are alike but for who judges. It fails at the first difference,
// which it makes as small as it can and prints.
//
//	go run ./internal/check/firewall/verify --sets 1000 --packets 1000 --backends legacy,nft
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/firewall/twin"
)

// maxUndetermined is how many of a hundred cases may be left undetermined.
const maxUndetermined = 15

// config is the command line.
type config struct {
	sets, packets int
	first         uint64
	backends      []string
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
	for _, backend := range cfg.backends {
		if err := cfg.verify(ctx, backend, stdout, stderr); err != nil {
			return fmt.Errorf("iptables-%s: %w", backend, err)
		}
	}
	return nil
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	var backends string
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.sets, "sets", 1000, "how many rule sets for each backend")
	flags.IntVar(&cfg.packets, "packets", 1000, "how many packets for each rule set")
	flags.Uint64Var(&cfg.first, "first", 0, "the number of the first rule set: the same number is the same case")
	flags.StringVar(&backends, "backends", strings.Join(twin.Backends, ","), "kinds of iptables, comma-separated")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	cfg.backends = strings.Split(backends, ",")
	for _, b := range cfg.backends {
		if !slices.Contains(twin.Backends, b) {
			return cfg, fmt.Errorf("--backends: %q is not one of %s", b, strings.Join(twin.Backends, ", "))
		}
	}
	if cfg.sets < 1 || cfg.packets < 1 {
		return cfg, errors.New("--sets and --packets must be at least 1")
	}
	return cfg, nil
}

// totals is what was compared so far.
type totals struct {
	sets, undetermined       int
	sent, delivered, entries int
	began                    time.Time
}

func (cfg config) verify(ctx context.Context, backend string, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "dwell-verify-")
	if err != nil {
		return err
	}
	pair, err := twin.NewPair("dwellverify-"+backend, backend, dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		err = errors.Join(err, pair.Close(), unmount(filepath.Join(dir, "bpf")), os.RemoveAll(dir))
	}()
	t := totals{began: time.Now()}
	for n := range uint64(cfg.sets) {
		if ctx.Err() != nil {
			break
		}
		if err := t.compare(ctx, pair, cfg.first+n, cfg.packets, stderr); err != nil {
			return err
		}
		if t.sets%50 == 0 {
			fmt.Fprintf(stderr, "iptables-%s: %d of %d rule sets, %d packets, no difference\n", backend, t.sets, cfg.sets, t.sent)
		}
	}
	t.write(stdout, backend, pair)
	if t.undetermined*100 > t.sets*maxUndetermined {
		return fmt.Errorf("%d of %d cases are undetermined: iptables alone does not agree with itself", t.undetermined, t.sets)
	}
	return context.Cause(ctx)
}

// compare runs one case and returns an error that describes a difference.
func (t *totals) compare(ctx context.Context, pair *twin.Pair, seed uint64, packets int, stderr io.Writer) error {
	c := twin.NewCase(seed, packets)
	r, err := pair.Run(c)
	if err != nil {
		return fmt.Errorf("rule set %d: %w", seed, err)
	}
	if r.Difference != "" {
		fmt.Fprintf(stderr, "rule set %d: %s\nmaking it smaller, which takes minutes …\n", seed, r.Difference)
		small := twin.Shrink(c, func(c *twin.Case) bool {
			r, err := pair.Run(c)
			return ctx.Err() == nil && err == nil && r.Difference != ""
		})
		last, err := pair.Run(small)
		return errors.Join(fmt.Errorf("rule set %d: %s\nmade smaller: %s\n%s", seed, r.Difference, last.Difference, small), err)
	}
	t.sets++
	t.sent += len(c.Steps)
	if r.Undetermined {
		t.undetermined++
	}
	t.delivered += r.Want.Delivered()
	t.entries += len(r.Want.Connections)
	return nil
}

func (t *totals) write(w io.Writer, backend string, pair *twin.Pair) {
	fmt.Fprintf(w, "iptables-%s: %d rule sets, %d packets, 0 differences in %.0f s; %d cases undetermined\n",
		backend, t.sets, t.sent, time.Since(t.began).Seconds(), t.undetermined)
	fmt.Fprintf(w, "  came out: %d frames; connections tracked: %d\n", t.delivered, t.entries)
	placed, ok := pair.Subject.Subject.(*twin.Placed)
	if !ok {
		return
	}
	j := &placed.Judged
	fmt.Fprintf(w, "  at TC: %d packets, %d passed, %d dropped, the rest left to FORWARD:\n", j.Packets, j.Passed, j.Dropped)
	for _, reason := range slices.Sorted(maps.Keys(j.Deferred)) {
		fmt.Fprintf(w, "    %-24s %d\n", reason, j.Deferred[reason])
	}
}

// unmount takes away the BPF file system that the firewall has mounted, if it has.
func unmount(dir string) error {
	err := unix.Unmount(dir, 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
