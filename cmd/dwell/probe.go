// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/probe"
)

// probeFlags are the flags of dwell probe.
type probeFlags struct {
	from              string
	count, size       int
	interval, timeout time.Duration
	json              bool
}

func newProbeCommand() *cobra.Command {
	var f probeFlags
	cmd := &cobra.Command{
		Use:   "probe ADDRESS...",
		Short: "Ping as the agent's probes do, now and from here",
		Long: `Ping addresses as the probes of dwell agent do, now and without an agent: from this network
namespace or another one. Each line is one ping: how it ended, the round-trip time, and the ID of
its trace if it is traced. The last column says why there was no reply, and who says so.

The exit status is 0 if every ping was answered, 1 if not, and 2 if what was typed is not
understood. How the probes of a running agent go, dwell probe status shows.`,
		Example: `  sudo dwell probe 192.0.2.1
  sudo dwell probe --from web -c 5 -i 200ms 192.0.2.1 2001:db8::1
  sudo dwell probe -s 1472 192.0.2.1 || echo "does it take packets of 1500 bytes?"
  sudo dwell probe -c 100 -i 10ms --json 192.0.2.1 | jq -s 'map(.rtt_ns) | max'
  dwell probe status`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			targets, err := f.check(args)
			if err != nil {
				return usageError(err)
			}
			return f.run(cmd.Context(), targets, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "the network `namespace` to ping from: a name, container, path or PID, as in trace.netns (default: this one)")
	flags.IntVarP(&f.count, "count", "c", 1, "how many `pings` to send to each address; 0 is until Ctrl-C")
	flags.DurationVarP(&f.interval, "interval", "i", time.Second, "the `time` from one ping to the next")
	flags.DurationVarP(&f.timeout, "timeout", "W", time.Second, "how long to wait for a reply")
	flags.IntVarP(&f.size, "size", "s", 56, "`bytes` of payload, at least 40")
	flags.BoolVar(&f.json, "json", false, "print each ping as a line of JSON")
	cmd.AddCommand(newProbeStatusCommand())
	usageStatus(cmd)
	return cmd
}

// check returns the targets, or which of the arguments cannot be.
func (f *probeFlags) check(args []string) ([]netip.Addr, error) {
	var targets []netip.Addr
	for _, arg := range args {
		var t config.Target
		if err := t.UnmarshalText([]byte(arg)); err != nil {
			return nil, err
		}
		targets = append(targets, t.Addr)
	}
	switch {
	case f.count < 0:
		return nil, fmt.Errorf("--count %d is negative", f.count)
	case f.interval < 0 || f.timeout <= 0:
		return nil, errors.New("--interval must not be negative, and --timeout must be more than 0")
	case f.size < probe.MinSize || f.size > 65507:
		return nil, fmt.Errorf("--size %d is not between %d and 65507", f.size, probe.MinSize)
	}
	return targets, nil
}

// run pings, each target in turn, until all is sent or ctx is done.
func (f *probeFlags) run(ctx context.Context, targets []netip.Addr, out io.Writer) error {
	ns, name, err := f.open(ctx)
	if err != nil {
		return err
	}
	if ns != nil {
		defer ns.Close()
	}
	singles := make([]probe.Single, len(targets))
	for i, target := range targets {
		singles[i] = probe.Single{NetNS: ns, Target: target, Timeout: f.timeout, Size: f.size}
	}
	p := probePrinter{out: out, from: name, json: f.json, targets: targets}
	for n := 0; f.count == 0 || n < f.count; n++ {
		due := time.Now().Add(f.interval)
		for i := range singles {
			sent := singles[i].Ping(ctx)
			if sent.Outcome == probe.Aborted {
				return p.verdict()
			}
			if err := p.print(n+1, targets[i], sent); err != nil {
				return err
			}
		}
		if n+1 == f.count {
			break
		}
		select {
		case <-ctx.Done():
			return p.verdict()
		case <-time.After(time.Until(due)):
		}
	}
	return p.verdict()
}

// open opens the namespace of the flags, nil if it is this one, and returns its name.
func (f *probeFlags) open(ctx context.Context) (*netns.NS, string, error) {
	if f.from == "" {
		return nil, "", nil
	}
	where, err := inventory.New(inventory.Config{Containers: true})
	if err != nil {
		return nil, "", fmt.Errorf("list network namespaces: %w", err)
	}
	defer where.Close()
	// A container's runtime is asked for its name, which takes a moment.
	found := where.Find(f.from)
	for end := time.Now().Add(time.Second); len(found) == 0 && time.Now().Before(end); found = where.Find(f.from) {
		select {
		case <-ctx.Done():
			return nil, "", errors.New("interrupted")
		case <-time.After(50 * time.Millisecond):
		}
	}
	switch len(found) {
	case 0:
		return nil, "", fmt.Errorf("--from: no network namespace matches %q; ip netns list and dwell doctor say which there are", f.from)
	case 1:
		ns, err := where.Open(found[0])
		return ns, where.NetNS(found[0]).Name, err
	}
	names := make([]string, len(found))
	for i, inode := range found {
		names[i] = where.NetNS(inode).Name
	}
	return nil, "", fmt.Errorf("--from: %q matches %d network namespaces, name one of them: %s", f.from, len(found), strings.Join(names, ", "))
}

// probePrinter prints pings and counts them.
type probePrinter struct {
	out             io.Writer
	from            string
	json            bool
	targets         []netip.Addr
	pings, answered int
}

// probeLine is a ping as JSON.
type probeLine struct {
	api.Probe
	Seq     int    `json:"seq"`
	TraceID string `json:"trace_id"`
}

func (p *probePrinter) print(n int, target netip.Addr, sent probe.Sent) error {
	p.pings++
	now := time.Now().UTC()
	line := probeLine{Seq: n, TraceID: sent.Trace.String()}
	line.Name, line.NetNS, line.Target, line.Result, line.Reason, line.Time = "now", p.from, target.String(), sent.Outcome.String(), sent.Why, &now
	rtt := "-"
	if sent.Outcome == probe.Answered {
		p.answered++
		ns := int64(sent.RTT)
		line.RTT, line.LastSuccess, rtt = &ns, &now, short(sent.RTT).String()
	}
	if p.json {
		text, err := json.Marshal(line)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.out, "%s\n", text)
		return err
	}
	if p.pings == 1 {
		if _, err := fmt.Fprintf(p.out, "%-*s  %4s  %-11s  %10s  %s\n", p.width(), "target", "seq", "result", "rtt", "trace"); err != nil {
			return err
		}
	}
	_, err := io.WriteString(p.out, strings.TrimRight(fmt.Sprintf("%-*s  %4d  %-11s  %10s  %s  %s", p.width(), target, n, line.Result, rtt, line.TraceID, sent.Why), " ")+"\n")
	return err
}

// width is that of the column of targets.
func (p *probePrinter) width() int {
	most := len("target")
	for _, t := range p.targets {
		most = max(most, len(t.String()))
	}
	return most
}

// verdict is the error if a ping was not answered, or none was sent.
func (p *probePrinter) verdict() error {
	switch {
	case p.pings == 0:
		return errors.New("interrupted before a ping had ended")
	case p.answered < p.pings:
		return fmt.Errorf("%d of %s not answered", p.pings-p.answered, counted(p.pings, "ping"))
	}
	return nil
}
