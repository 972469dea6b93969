// SPDX-License-Identifier: Apache-2.0

// Command fastpathbench measures how much less a packet takes on dwell's fast path than on the
// kernel's way, and on one veth pair, which is the floor.
//
// Each mode is a network of namespaces, through which all ways go in turn, in an order that is drawn
// anew for each measurement, because times drift with the machine. It prints medians and quartiles
// of the rounds, and of the ratios of what was measured in the same round.
//
//	go run ./internal/check/fastpathbench -modes nat,vxlan -flows 1,1000 -rounds 20
//	go run ./internal/check/fastpathbench -isolation -rounds 15 -pings 3000
//
// With -isolation, it measures instead how much longer the packets of one tenant take while another attacks.
//
// What is measured on the fast path is only counted once most packets are fast; the last column says
// how many were. It fails if anything does not work, and not because a goal is missed: times are for
// people to judge.
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
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/check/progtime"
)

// config is the command line.
type config struct {
	modes         []mode
	ways          []string
	flows, rules  []int
	rounds, pings int
	pacedPings    int
	stream        time.Duration
	quick, ratios bool
	// isolated measures what attacks of another tenant change, and nothing else: so many packets a second.
	isolated bool
	attacks  []attack
	rate     int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fastpathbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if needsDwell(cfg.ways) || cfg.isolated {
		if err := bypass.Supported(); err != nil {
			return fmt.Errorf("%w; -ways %s,%s measures the kernel alone", err, slow, bare)
		}
	}
	dir, err := os.MkdirTemp("", "fastpathbench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	alone, err := progtime.Alone()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s, %d CPUs.", kernel(), runtime.NumCPU())
	if !cfg.ratios {
		fmt.Fprintf(stdout, " Measuring a program takes %d ns itself, which is in the time of each of dwell's.", alone.Nanoseconds())
	}
	fmt.Fprintln(stdout)
	b := &bench{config: cfg, stderr: stderr, dir: dir}
	if cfg.isolated {
		return b.isolation(ctx, stdout)
	}
	return b.compare(ctx, stdout)
}

// compare measures the ways in all modes, with each number of rules.
func (b *bench) compare(ctx context.Context, stdout io.Writer) error {
	for _, m := range b.modes {
		for _, rules := range b.rules {
			if rules > 0 && (m.switched || m.tunnelled) {
				continue // its packets meet no rule
			}
			s, err := b.measure(ctx, m, rules)
			if err != nil {
				return err
			}
			if err := s.write(stdout); err != nil {
				return err
			}
		}
	}
	return nil
}

// kernel returns what the kernel calls itself.
func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "Linux"
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:])
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	var modesText, waysText, flowsText, rulesText, attacksText string
	flags := flag.NewFlagSet("fastpathbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&modesText, "modes", "nat,bridge,routed,vxlan", "networks")
	flags.StringVar(&waysText, "ways", strings.Join([]string{slow, fast, bare}, ","), fmt.Sprintf("ways through each, of %v", allWays()))
	flags.StringVar(&flowsText, "flows", "1,1000,100000", "how many flows ping, each once")
	flags.StringVar(&rulesText, "rules", "0,100,10000", "how many rules are in FORWARD, where packets meet it")
	flags.IntVar(&cfg.rounds, "rounds", 10, "how often to measure each")
	flags.IntVar(&cfg.pings, "pings", 500, "pings of one flow, and transactions, of one round")
	flags.IntVar(&cfg.pacedPings, "paced", 40, fmt.Sprintf("pings of one round that are %v apart; 0: none", pace))
	flags.DurationVar(&cfg.stream, "stream", 500*time.Millisecond, "length of one round's TCP stream; 0: none")
	flags.BoolVar(&cfg.ratios, "ratios", false, "print ratios alone: the times of an emulated machine are of no use")
	flags.BoolVar(&cfg.isolated, "isolation", false, "measure only how much longer a tenant's packets take while another attacks (NAT, both on the fast path)")
	flags.StringVar(&attacksText, "attacks", "table,syn,spoof,malformed", "with -isolation: attacks")
	flags.IntVar(&cfg.rate, "rate", 5000, "with -isolation: packets a second of an attack; 0: as many as one CPU can send")
	flags.BoolVar(&cfg.quick, "quick", false, "only see that it works, in a few seconds: the figures are of no use")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if cfg.quick {
		flowsText, rulesText = "1,50", "0,10"
		cfg.rounds, cfg.pings, cfg.pacedPings, cfg.stream = 1, 20, 3, 20*time.Millisecond
	}
	for _, name := range strings.Split(modesText, ",") {
		m, err := findMode(name)
		if err != nil {
			return cfg, err
		}
		cfg.modes = append(cfg.modes, m)
	}
	for _, name := range strings.Split(attacksText, ",") {
		a, err := findAttack(name)
		if err != nil {
			return cfg, err
		}
		cfg.attacks = append(cfg.attacks, a)
	}
	cfg.ways = strings.Split(waysText, ",")
	err := checkWays(cfg.ways)
	if err == nil {
		cfg.flows, err = numbers("-flows", flowsText, 1, 4*identifiers)
	}
	if err == nil {
		cfg.rules, err = numbers("-rules", rulesText, 0, 1<<16)
	}
	if err == nil && (cfg.rounds < 1 || cfg.pings < 1 || cfg.stream < 0 || cfg.pacedPings < 0 || cfg.rate < 0) {
		err = errors.New("-rounds and -pings must be at least 1, and -paced, -stream and -rate not less than 0")
	}
	return cfg, err
}

// numbers reads a list of numbers, the smallest first.
func numbers(name, text string, low, high int) ([]int, error) {
	var all []int
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < low || n > high {
			return nil, fmt.Errorf("%s: %q is not a number from %d to %d", name, word, low, high)
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return all, nil
}
