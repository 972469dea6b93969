// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// benchFlags are what the user can say about a study.
type benchFlags struct {
	bench.Config
	modes     []string
	rules     []int
	calibrate bool
	fastPath  bool
	out       string
	// hastened is the fast path of the lab that is up, if it has one.
	hastened ruletrace.Hastening
}

func newBenchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure all topologies: reproduce the paper's study",
		Long: `Create each of the lab's topologies in turn, send batches of pings through it, and
measure how long they spent in each part of the path. For each topology, a table like
the paper's is printed on standard output; with --out, a report is written as HTML,
Markdown, CSV and JSON, and a chart as SVG and PNG. The networks are made of namespaces
and removed afterwards; the host's own network is not touched. Needs root.

With --fastpath, dwell bench also measures what a fast path saves: the same pings by the
kernel's way and by the fast path in turn, in the same network, at the interval and one
after the other; unless --modes is given, in all topologies that can have one, and with
each number of --rules.

With --rules, dwell bench also measures how the spans grow with the number of rules in
the hypervisor's FORWARD chain, none of which matches; unless --modes is given, only the
bridge topology is measured then. With --calibrate, it also measures how much the
tracing itself adds to the figures.

The exit status is 0 only if every ping was answered and traced completely.`,
		Example: `  dwell bench --out report
  dwell bench --modes nat,vxlan --batches 3
  dwell bench --rules 0,100,1000,10000 --out report
  dwell bench --fastpath --out report`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cmd.Flags().Changed("modes"):
			case f.fastPath:
				f.modes = bench.FastModes()
			case len(f.rules) > 0:
				f.modes = []string{"bridge"}
			}
			if err := f.check(); err != nil {
				return err
			}
			return f.run(cmd)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *benchFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.modes, "modes", bench.Modes(), "`topologies` to measure, in this order")
	flags.IntVar(&f.Protocol.Batches, "batches", bench.DefaultBatches, "batches per topology")
	flags.IntVarP(&f.Protocol.Count, "count", "c", bench.DefaultCount, "pings per batch")
	flags.DurationVar(&f.Protocol.Interval, "interval", bench.DefaultInterval, "time from one ping to the next")
	flags.IntVar(&f.Protocol.Warmup, "warmup", bench.DefaultWarmup, "pings per topology before the first batch, which are not measured")
	flags.BoolVar(&f.Protocol.IPv6, "ipv6", false, "ping over IPv6; topologies without IPv6 are skipped unless --modes names them")
	flags.IntSliceVar(&f.rules, "rules", nil, "also measure with these `numbers` of firewall rules, for example 0,100,1000,10000")
	flags.BoolVar(&f.calibrate, "calibrate", false, "also measure what tracing itself adds")
	flags.BoolVar(&f.fastPath, "fastpath", false, "also measure what the fast path saves")
	flags.StringVar(&f.out, "out", "", "write the report to this `directory`, replacing an earlier one")
	flags.Var(newPrefixFlag(&f.Prefix, bench.DefaultPrefix), "prefix", "prefix of the namespaces' names")
}

// check says what cannot be done before anything is.
func (f *benchFlags) check() error {
	if len(f.modes) == 0 {
		return fmt.Errorf("--modes: none given; choose from: %v", bench.Modes())
	}
	if f.Protocol.IPv6 && slices.Equal(f.modes, bench.Modes()) {
		f.modes = slices.DeleteFunc(f.modes, func(mode string) bool { return f.Check(mode) != nil })
	}
	if err := f.Check(f.modes...); err != nil {
		return err
	}
	for i, mode := range f.modes {
		if slices.Contains(f.modes[:i], mode) {
			return fmt.Errorf("--modes: %s is given twice", mode)
		}
		if f.fastPath {
			if err := f.CheckFastPath(mode); err != nil {
				return err
			}
		}
		if len(f.rules) == 0 {
			continue
		}
		if err := f.CheckRules(mode, f.rules); err != nil {
			return err
		}
	}
	// Better now than after the study.
	if info, err := os.Stat(f.out); f.out != "" && err == nil && !info.IsDir() {
		return fmt.Errorf("--out %s: is a file, must be a directory", f.out)
	}
	return nil
}
