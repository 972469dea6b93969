// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// firewallFlags are the flags of dwell firewall and of its commands.
type firewallFlags struct {
	askFlags

	config                       string
	direct, dryRun, affectOthers bool
}

func newFirewallCommand() *cobra.Command {
	var f firewallFlags
	cmd := &cobra.Command{
		Use:                   "firewall --tenant ID -- iptables|ip6tables ARGUMENT...",
		DisableFlagsInUseLine: true,
		Short:                 "Change a tenant's firewall by commands of iptables",
		Long: `Change a tenant's firewall by commands of iptables and ip6tables, as they are typed on a
host: -A, -I, -D, -R, -C, -N, -X, -E, -F, -P, -Z, -L and -S within the tenant's own chain
FORWARD and chains that it makes. They see the packets that come from the tenant's ports or
go to them, and nothing else: -P FORWARD DROP is the tenant's own default.

Each command is answered with who decides about the rule's packets: tc (programs in the
kernel, whose verdicts are those of iptables and take as long for 10,000 rules as for one),
iptables (the rule as it is), or refused (it would affect others; nothing was changed).
A refusal shows a packet of somebody else's that would be affected, and whose it is.

A running dwell agent does it; whoever has access to a tenant may change its
firewall, and its readers may only look. Without an agent, root changes it directly, with the agent's configuration.

The exit status is 0 if it was done, 1 if it was refused or failed, or -C finds no rule,
and 2 if the command is not understood.`,
		Example: `  dwell firewall --tenant red -- iptables -A FORWARD -s 192.168.0.10 -p tcp --dport 22 -j DROP
  dwell firewall --tenant red -- iptables -P FORWARD DROP
  dwell firewall --tenant red --dry-run -- ip6tables -I FORWARD 1 -p icmpv6 -j ACCEPT
  dwell firewall --tenant red -- iptables -D FORWARD 3
  dwell firewall --tenant red -- iptables -S
  dwell firewall --tenant red --affect-others -- iptables -t nat -A POSTROUTING -j MASQUERADE  # operators
  dwell firewall apply --tenant red rules.v4
  dwell firewall list --tenant red --backend ssh://hypervisor1`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return f.run(cmd, func(ctx context.Context, a *asked) error { return a.command(ctx, args) })
		},
	}
	f.register(cmd)
	cmd.AddCommand(newFirewallApplyCommand(&f), newFirewallSaveCommand(&f), newFirewallListCommand(&f), newFirewallCheckCommand(&f),
		newFirewallExplainCommand(&f), newFirewallFlushCommand(&f))
	usageStatus(cmd)
	return cmd
}

func (f *firewallFlags) register(cmd *cobra.Command) {
	f.askFlags.register(cmd)
	flags := cmd.PersistentFlags()
	flags.BoolVar(&f.direct, "direct", false, "do without an agent, which must not be running; needs root")
	flags.StringVar(&f.config, "config", defaultConfig, "without an agent: its configuration `file`")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and change nothing")
	f.affects(cmd)
	// What comes after the command's name is the command's.
	cmd.Flags().SetInterspersed(false)
}

// affects adds --affect-others.
func (f *firewallFlags) affects(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.affectOthers, "affect-others", false, "for operators: put a command that cannot be confined to the tenant into\n"+
		"iptables as it is")
}

// run does something with the firewall of the flags.
func (f *firewallFlags) run(cmd *cobra.Command, do func(context.Context, *asked) error) error {
	if err := f.check(errWhose); err != nil {
		return usageError(err)
	}
	ctx := cmd.Context()
	a, err := f.open(ctx, cmd)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, a), a.close())
}

var errWhose = errors.New("whose firewall? Put --tenant ID before the command")

// command carries out one command, which may also be one argument.
func (a *asked) command(ctx context.Context, words []string) error {
	if len(words) == 1 && strings.Contains(words[0], " ") {
		c, err := iptables.ParseLine(words[0])
		var wrong *iptables.SyntaxError
		if errors.As(err, &wrong) {
			return a.point(wrong.Error(), &api.Position{Text: words[0], Column: wrong.Column, Length: len(wrong.Text)})
		}
		if err != nil {
			return usageError(err)
		}
		words = c.Words
	}
	r := firewall.Request{Tenant: a.flags.tenant, Words: words, DryRun: a.flags.dryRun, AffectOthers: a.flags.affectOthers, Operator: a.flags.direct}
	answer, err := a.firewall.Do(ctx, r)
	if err != nil {
		return a.failed(ctx, err, words, "")
	}
	return a.answer(answer)
}
