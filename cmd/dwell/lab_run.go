// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
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
until Ctrl-C or SIGTERM, and then remove it. dwell lab run needs no shell and repairs
what a killed run has left behind; docker compose --profile demo runs it in a container.
It does not trace: dwell agent or dwell trace does that.`,
		Example: `  dwell lab run bridge
  dwell lab run --prefix demo --interval 200ms nat`,
		Args:      oneTopology,
		ValidArgs: topologyNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.topology, r.opts, r.err = args[0], *opts, cmd.ErrOrStderr()
			return r.run(cmd.Context())
		},
	}
	cmd.Flags().IntVarP(&r.count, "count", "c", 0, "stop after this many pings (0: never)")
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
	target := l.Target(false)
	fmt.Fprintf(r.err, "dwell: lab up: %s; pinging %s every %v\n", l.Topology().Summary, target, r.interval)
	ns, err := l.Open(lab.Guest)
	if err != nil {
		return err
	}
	defer ns.Close()
	return r.ping(ctx, pinger.Config{NetNS: ns, Target: target, Interval: r.interval})
}

// ping sends the pings, a round at a time.
func (r *labRun) ping(ctx context.Context, cfg pinger.Config) error {
	for ctx.Err() == nil && (r.count == 0 || r.sent < r.count) {
		cfg.Count = labRunRound
		if r.count > 0 {
			cfg.Count = min(labRunRound, r.count-r.sent)
		}
		round, err := pinger.Run(ctx, cfg)
		if round != nil {
			r.sent += len(round.Echoes)
			r.received += round.Received()
		}
		if err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		if !r.pause(ctx, cfg.Interval) {
			return nil
		}
	}
	return nil
}

// pause waits for the time of the next round's first ping, if there is to be one. It
// reports whether there is.
func (r *labRun) pause(ctx context.Context, interval time.Duration) bool {
	if r.count > 0 && r.sent >= r.count {
		return false
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
