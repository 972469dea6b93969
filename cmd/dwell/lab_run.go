// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
	"github.com/dwelltrace/dwell/internal/wait"
)

// labRunRound is how many pings are sent with one socket: what the pinger remembers of
// each must not pile up in a process that pings for months.
const labRunRound = 60

// labRun is one run of dwell lab run.
type labRun struct {
	topology string
	count    int
	interval time.Duration
	opts     lab.Options
	err      io.Writer

	sent, received int
}

func newLabRunCommand(opts *lab.Options) *cobra.Command {
	var r labRun
	cmd := &cobra.Command{
		Use:   "run TOPOLOGY",
		Short: "Ping through a topology until stopped, then remove it",
		Long: `Create a topology, ping through it from the guest until --count pings have been sent or
until Ctrl-C or SIGTERM, and then remove it. In tenants, both guests ping the outside, and
red pings blue, each --count times. dwell lab run needs no shell and repairs what a killed
run has left behind; docker compose --profile demo runs it in a container. It does not
trace: dwell agent or dwell trace does that.`,
		Example: `  dwell lab run bridge
  dwell lab run --prefix demo --interval 200ms nat`,
		Args:      oneTopology,
		ValidArgs: topologyNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.topology, r.opts, r.err = args[0], *opts, cmd.ErrOrStderr()
			return r.run(cmd.Context())
		},
	}
	cmd.Flags().IntVarP(&r.count, "count", "c", 0, "stop after this many pings from each guest to each target (0: never)")
	cmd.Flags().DurationVarP(&r.interval, "interval", "i", pinger.DefaultInterval, "time from one ping to the next")
	return cmd
}

func (r *labRun) run(ctx context.Context) (err error) {
	if r.count < 0 {
		return fmt.Errorf("--count %d: must not be negative; 0 means no end", r.count)
	}
	if r.interval <= 0 {
		return fmt.Errorf("--interval %v: must be more than 0", r.interval)
	}
	if err := labPrivileges(); err != nil {
		return err
	}
	l, err := lab.Up(ctx, r.topology, r.opts)
	if err != nil {
		return err
	}
	defer func() {
		// What ended the pinging must not end the clean-up.
		err = errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		fmt.Fprintf(r.err, "dwell: lab down: %d pings, %d replies\n", r.sent, r.received)
	}()
	pings := l.Topology().Pings()
	fmt.Fprintf(r.err, "dwell: lab up: %s; pinging %s every %v\n", l.Topology().Summary, targetsOf(pings), r.interval)
	return r.pingAll(ctx, l, pings)
}

// targetsOf says what is pinged, each address once.
func targetsOf(pings []lab.Ping) string {
	var all []string
	for _, p := range pings {
		if to := p.To.String(); !slices.Contains(all, to) {
			all = append(all, to)
		}
	}
	return strings.Join(all, ", ")
}

// pingAll sends all pings, side by side. If one cannot be sent, the others stop.
func (r *labRun) pingAll(ctx context.Context, l *lab.Lab, pings []lab.Ping) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results := make(chan pingResult)
	for _, p := range pings {
		go func() { results <- r.pingFrom(ctx, l, p) }()
	}
	var errs []error
	for range pings {
		result := <-results
		r.sent, r.received = r.sent+result.sent, r.received+result.received
		if result.err != nil {
			errs = append(errs, result.err)
			stop()
		}
	}
	return errors.Join(errs...)
}

// pingResult is what became of the pings from one guest to one target.
type pingResult struct {
	sent, received int
	err            error
}

// pingFrom sends pings, a round at a time.
func (r *labRun) pingFrom(ctx context.Context, l *lab.Lab, p lab.Ping) pingResult {
	var result pingResult
	ns, err := l.Open(p.From)
	if err != nil {
		result.err = err
		return result
	}
	defer ns.Close()
	cfg := pinger.Config{NetNS: ns, Target: p.To, Interval: r.interval}
	for ctx.Err() == nil && (r.count == 0 || result.sent < r.count) {
		cfg.Count = labRunRound
		if r.count > 0 {
			cfg.Count = min(labRunRound, r.count-result.sent)
		}
		round, err := pinger.Run(ctx, cfg)
		if round != nil {
			result.sent += len(round.Echoes)
			result.received += round.Received()
		}
		if err != nil {
			result.err = fmt.Errorf("ping: %w", err)
			return result
		}
		if r.count > 0 && result.sent >= r.count || !wait.For(ctx, cfg.Interval) {
			return result
		}
	}
	return result
}
