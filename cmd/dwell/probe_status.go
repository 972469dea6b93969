// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/tenant"
)

func newProbeStatusCommand() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the probes of a running agent go",
		Long: `Show how the probes of a running dwell agent go: how the last ping of each ended and why, its
round-trip time, how long ago the last success was, and when the next ping is due. Operators see
all; with --tenant, it is one tenant's own, for whoever may see that tenant.

The exit status is 0 whatever the probes' results are.`,
		Example: `  sudo dwell probe status
  dwell probe status --tenant red
  dwell probe status --tenant red --json | jq '.probes[] | select(.result != "success")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.tenant != client.Operator {
				if err := tenant.CheckID(f.tenant); err != nil {
					return usageError(fmt.Errorf("--tenant: %w", err))
				}
			}
			if err := f.checkTLS(); err != nil {
				return usageError(err)
			}
			return f.probeStatus(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	return cmd
}

// probeStatus asks the agent and prints what it says.
func (f *askFlags) probeStatus(ctx context.Context, out, stderr io.Writer) error {
	c, err := client.New(ctx, client.Options{Backend: f.backend, TLS: f.tls, Stderr: stderr})
	if err != nil {
		return err
	}
	defer c.Close()
	probes, err := c.Probes(ctx, f.tenant)
	if client.Code(err) == api.CodeNotFound {
		return fmt.Errorf("the agent is older than this program, and does not say how probes go: start it again with this version")
	}
	if err != nil {
		return (&agentOf{client: c, tenant: f.tenant, backend: f.backend}).explain(ctx, err)
	}
	if f.json {
		return writeJSON(out, probes)
	}
	_, err = io.WriteString(out, probesText(&probes, time.Now()))
	return err
}

// probesText is a table with a line for each namespace and target. What may be long stands at the
// end.
func probesText(probes *api.Probes, now time.Time) string {
	var out strings.Builder
	rows := [][]string{{"probe", "from", "target", "result", "rtt", "last success", "next", "reason"}}
	for i := range probes.Probes {
		p := &probes.Probes[i]
		name, result, rtt := p.Name, p.Result, "-"
		if p.Tenant != "" {
			name = p.Tenant + "/" + name
		}
		if result == "" {
			result = "-"
		}
		if p.RTT != nil {
			rtt = short(time.Duration(*p.RTT)).String()
		}
		rows = append(rows, []string{name, p.NetNS, p.Target, result, rtt, ago(p.LastSuccess, now), until(p.Next, now), p.Reason})
	}
	if len(rows) == 1 {
		out.WriteString("No probes are sent.\n")
	} else {
		writeTable(&out, rows, 7, 0, 1, 2, 3)
	}
	for _, r := range probes.Unresolved {
		fmt.Fprintf(&out, "not sent: %s: no network namespace matches\n", r)
	}
	if probes.OverLimit > 0 {
		fmt.Fprintf(&out, "not sent: %d more, which would exceed a limit\n", probes.OverLimit)
	}
	return out.String()
}

// ago says how long ago a time was.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	return max(0, now.Sub(*t)).Round(time.Second/10).String() + " ago"
}

// until says in how much time something is due.
func until(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return "-"
	case !t.After(now):
		return "now"
	}
	return "in " + t.Sub(now).Round(time.Second/10).String()
}
