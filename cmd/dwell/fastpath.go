// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
)

// fastPathFlags are the flags of dwell fastpath's commands.
type fastPathFlags struct{ askFlags }

func newFastPathCommand() *cobra.Command {
	var f fastPathFlags
	cmd := &cobra.Command{
		Use:   "fastpath",
		Short: "Show which packets of tenants take the fast path, and why others do not",
		Long: `Show which packets of tenants take the fast path, and why others do not.

Once the kernel has shown what it does to the packets of a flow, the fast path does the same to
them at the tenant's port and hands them to the last device at once. It is switched on for each
tenant by "fastpath: shadow" or "fastpath: on" in the agent's configuration. Whatever is not
certain takes the kernel's own way, and the reason is counted.

A running dwell agent answers; whoever has access to a tenant may also flush its flows, and
its readers may only look.`,
		Example: `  dwell fastpath status                            # of all tenants that you may see
  dwell fastpath flows --tenant red
  dwell fastpath why --tenant red "tcp 192.0.2.10:40000 > 198.51.100.2:443"
  dwell fastpath why --tenant red --watch 10s "icmp 192.0.2.10 > 198.51.100.2"
  dwell fastpath flush --tenant red
  sudo dwell fastpath down                         # remove it from the kernel`,
	}
	f.register(cmd)
	cmd.AddCommand(newFastPathStatusCommand(&f), newFastPathFlowsCommand(&f), newFastPathWhyCommand(&f), newFastPathFlushCommand(&f), newFastPathDownCommand(&f))
	usageStatus(cmd)
	return cmd
}

var errWhoseFastPath = errors.New("whose fast path? Give --tenant ID")

// askedFastPath is an agent that is asked about fast paths by a command.
type askedFastPath struct {
	flags    *fastPathFlags
	out, err io.Writer
	fastPath agentapi.FastPath
	agent    *agentOf
}

// run asks the agent of the flags about a tenant.
func (f *fastPathFlags) run(cmd *cobra.Command, do func(context.Context, *askedFastPath) error) error {
	if err := f.check(errWhoseFastPath); err != nil {
		return usageError(err)
	}
	return f.ask(cmd, do)
}

// ask asks the agent of the flags.
func (f *fastPathFlags) ask(cmd *cobra.Command, do func(context.Context, *askedFastPath) error) error {
	if err := f.checkTLS(); err != nil {
		return usageError(err)
	}
	ctx := cmd.Context()
	a := &askedFastPath{flags: f, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	c, err := client.New(ctx, client.Options{Backend: f.backend, TLS: f.tls, Stderr: a.err})
	if err != nil {
		return err
	}
	defer c.Close()
	a.agent, a.fastPath = &agentOf{client: c, tenant: f.tenant, backend: f.backend}, c.FastPath()
	return do(ctx, a)
}

func (a *askedFastPath) query() accelerator.Query {
	return accelerator.Query{Tenant: a.flags.tenant}
}

// print prints an answer, as JSON if that is asked for.
func (a *askedFastPath) print(value any, text string) error {
	if a.flags.json {
		return writeJSON(a.out, value)
	}
	_, err := io.WriteString(a.out, text)
	return err
}

// failed says why there is no answer.
func (a *askedFastPath) failed(ctx context.Context, err error) error {
	var refused *client.Refused
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case !errors.As(err, &refused):
		return a.agent.explain(ctx, err)
	}
	switch refused.Code {
	case api.CodeSyntax:
		return pointAt(a.err, refused.Message, refused.At)
	case api.CodeReadOnly, api.CodeNoFastPath, api.CodeFailed, api.CodeBusy:
		return errors.New(refused.Message)
	case api.CodeNotFound, api.CodeMethod:
		return errors.New("the agent is older than this program, and has no fast path: start it again with this version")
	}
	return a.agent.explain(ctx, err)
}

func newFastPathFlowsCommand(f *fastPathFlags) *cobra.Command {
	var o flowsOptions
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "Show what is known of a tenant's flows",
		Long: `Show what is known of a tenant's flows, those with the most packets first: in each line one
direction, as its packets arrive. The first column says what becomes of its next packet: fast,
or why it takes the kernel's own way. Then follow how many packets were sent fast and how many
were not, and how long the flow is still believed before the kernel has to see a packet of it.`,
		Example: `  dwell fastpath flows --tenant red
  dwell fastpath flows --tenant red --wide                # with devices, addresses after NAT and more
  dwell fastpath flows --tenant red | grep -v ^fast       # those that are slow
  dwell fastpath flows --tenant red --json | jq '.flows[] | select(.state != "fast")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.limit < 1 {
				return usageError(errors.New("--limit is at least 1"))
			}
			return f.run(cmd, func(ctx context.Context, a *askedFastPath) error {
				l, err := a.fastPath.Flows(ctx, a.query(), o.limit)
				if err != nil {
					return a.failed(ctx, err)
				}
				if err := a.print(l, flowsText(l.Flows, o)); err != nil || l.Left == 0 || f.json {
					return err
				}
				_, err = fmt.Fprintf(a.err, "dwell: and %s more (--limit)\n", counted(l.Left, "flow"))
				return err
			})
		},
	}
	cmd.Flags().IntVar(&o.limit, "limit", 1000, "show at most so `many` flows")
	cmd.Flags().BoolVarP(&o.wide, "wide", "w", false, "show devices, what packets are like when they leave, and more")
	return cmd
}

func newFastPathWhyCommand(f *fastPathFlags) *cobra.Command {
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "why PACKET",
		Short: "Say why packets of a flow are slow",
		Long: `Say why packets of a flow are slow, or that they are fast. A packet of it is written as for
dwell firewall explain, in either direction: PROTOCOL SOURCE[:PORT] > DESTINATION[:PORT],
in quotes because of the >. A port that is not said is any.

With --watch, packets of these flows are counted meanwhile by what became of them: a packet may
be slow although its flow is fast, because it is a fragment, or longer than others, for example.`,
		Example: `  dwell fastpath why --tenant red "tcp 192.0.2.10:40000 > 198.51.100.2:443"
  dwell fastpath why --tenant red "icmp 192.0.2.10 > 198.51.100.2"
  dwell fastpath why --tenant red --watch 10s "udp [2001:db8::1]:53 > [2001:db8::2]"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			packet := strings.Join(args, " ")
			switch {
			case packet == "":
				return usageError(errors.New(`which packet? For example "icmp 192.0.2.10 > 198.51.100.2"`))
			case watch < 0 || watch > api.MaxWatch:
				return usageError(fmt.Errorf("--watch is at most %v", api.MaxWatch))
			}
			return f.run(cmd, func(ctx context.Context, a *askedFastPath) error {
				w, err := a.fastPath.Why(ctx, accelerator.WhyQuery{Query: a.query(), Packet: packet, Watch: watch})
				if err != nil {
					return a.failed(ctx, err)
				}
				return a.print(w, whyText(w))
			})
		},
	}
	cmd.Flags().DurationVar(&watch, "watch", 0, "count its packets for this `time`, 30s at most")
	return cmd
}

func newFastPathFlushCommand(f *fastPathFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "flush",
		Short: "Forget a tenant's flows",
		Long: `Forget a tenant's flows. No packet is lost: the next ones take the kernel's own way, and what
it does to them is learnt again.`,
		Example: `  dwell fastpath flush --tenant red`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd, func(ctx context.Context, a *askedFastPath) error {
				n, err := a.fastPath.Flush(ctx, a.query())
				if err != nil {
					return a.failed(ctx, err)
				}
				return a.print(api.FastPathFlushed{Flows: n}, fmt.Sprintf("forgotten: %s of %s\n", counted(n, "flow"), f.tenant))
			})
		},
	}
}
