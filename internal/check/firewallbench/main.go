// SPDX-License-Identifier: Apache-2.0

// Command firewallbench measures what rules of a firewall cost a packet: in iptables, of both
// kinds, and in dwell.
//
// Each set of rules is put in force on a hypervisor of its own, in namespaces. The rounds take
// all of them in turn, in an order that is drawn anew, because times drift with the machine; it
// prints medians and quartiles. Packets are of one flow, or all different, of which no cache of
// flows can profit. Rules drop none of them: each packet that is measured must arrive.
//
//	go run ./internal/check/firewallbench -rules 1,100,10000 -rounds 20
//
// A packet's cost is the time until the kernel returns from sending it, because it forwards a
// packet of a veth pair there and then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
	"github.com/dwelltrace/dwell/internal/check/progtime"
	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// config is the command line.
type config struct {
	sizes                             []int
	ways, flavours                    []string
	rounds, pings, packets, different int
	swaps, swapRules                  int
	quick                             bool
	sizesText, waysText, flavoursText string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "firewallbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "firewallbench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	alone, err := progtime.Alone()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Measuring a program takes %d ns itself, which is in the time of each of dwell's.\n", alone.Nanoseconds())
	b := &bench{config: cfg, stderr: stderr, dir: dir}
	for _, flavour := range cfg.flavours {
		cells, err := b.flavour(ctx, synth.Flavour(flavour))
		if err != nil {
			return err
		}
		if err := writeTable(stdout, flavour, cfg, cells); err != nil {
			return err
		}
	}
	if cfg.swaps == 0 || !slices.Contains(cfg.ways, dwell) {
		return nil
	}
	fmt.Fprintf(stderr, "%d swaps of %d rules under flood\n", cfg.swaps, cfg.swapRules)
	result, err := b.swapUnderFlood(ctx)
	if err != nil {
		return fmt.Errorf("swaps under flood: %w", err)
	}
	return writeSwaps(stdout, &result)
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("firewallbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.sizesText, "rules", "1,10,100,1000,10000", "how many rules")
	flags.StringVar(&cfg.waysText, "ways", strings.Join([]string{legacy, nft, dwell}, ","), "where the rules are")
	flags.StringVar(&cfg.flavoursText, "flavours", "never,fw,zones", "shapes of rules: "+fmt.Sprint(synth.Flavours()))
	flags.IntVar(&cfg.rounds, "rounds", 10, "how often to measure each")
	flags.IntVar(&cfg.pings, "pings", 500, "pings, and transactions, of one round")
	flags.IntVar(&cfg.packets, "packets", 6400, "packets of one round")
	flags.IntVar(&cfg.different, "different", 8192, "how many packets that are all different")
	flags.IntVar(&cfg.swaps, "swaps", 1000, "how often to replace the rules under flood; 0: not")
	flags.IntVar(&cfg.swapRules, "swap-rules", 100, "how many rules are replaced")
	flags.BoolVar(&cfg.quick, "quick", false, "only see that it works, in a few seconds: the figures are of no use")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.quick {
		cfg.sizesText, cfg.flavoursText = "1,100", "never,zones"
		cfg.rounds, cfg.pings, cfg.packets, cfg.different, cfg.swaps, cfg.swapRules = 1, 20, 640, 128, 5, 20
	}
	return cfg, cfg.complete()
}

// complete reads the lists, and checks everything.
func (c *config) complete() error {
	for _, text := range strings.Split(c.sizesText, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-rules: %q is not a number of rules", text)
		}
		c.sizes = append(c.sizes, n)
	}
	c.ways, c.flavours = strings.Split(c.waysText, ","), strings.Split(c.flavoursText, ",")
	for _, way := range c.ways {
		if !slices.Contains([]string{legacy, nft, dwell}, way) {
			return fmt.Errorf("-ways: %q is not one of %s, %s and %s", way, legacy, nft, dwell)
		}
	}
	for _, flavour := range c.flavours {
		if !slices.Contains(synth.Flavours(), synth.Flavour(flavour)) {
			return fmt.Errorf("-flavours: %q is not one of %v", flavour, synth.Flavours())
		}
	}
	if c.rounds < 1 || c.pings < 1 || c.packets < traffic.Batch || c.different < 1 || c.swaps < 0 || c.swapRules < 1 {
		return fmt.Errorf("-rounds, -pings, -different and -swap-rules must be at least 1, -packets %d, and -swaps not less than 0", traffic.Batch)
	}
	return nil
}
