// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// statusUsage is the exit status if what was typed is not understood.
const statusUsage = 2

// usageError is an error with [statusUsage].
func usageError(err error) error { return statusError{statusUsage, err} }

// firewallFlags are the flags of dwell firewall and of its commands.
type firewallFlags struct {
	tenant, backend, config string
	tls                     client.TLSFiles
	direct, dryRun, json    bool
	affectOthers            bool
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
	for _, c := range append(cmd.Commands(), cmd) {
		c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
		if args := c.Args; args != nil {
			c.Args = func(cmd *cobra.Command, list []string) error {
				if err := args(cmd, list); err != nil {
					return usageError(err)
				}
				return nil
			}
		}
	}
	return cmd
}

func (f *firewallFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVarP(&f.tenant, "tenant", "t", "", "the `ID` of the tenant")
	flags.StringVar(&f.backend, "backend", "unix://"+api.DefaultSocket, "the agent's `address`: unix:///path, ssh://[user@]host[:port][/path]\n"+
		"or https://host:port")
	flags.StringVar(&f.tls.Cert, "cert", "", "for https: PEM `file` with the client's certificate")
	flags.StringVar(&f.tls.Key, "key", "", "for https: PEM `file` with the certificate's key")
	flags.StringVar(&f.tls.CA, "ca", "", "for https: PEM `file` with the CAs that verify the agent (default: the system's)")
	flags.BoolVar(&f.direct, "direct", false, "do without an agent, which must not be running; needs root")
	flags.StringVar(&f.config, "config", defaultConfig, "without an agent: its configuration `file`")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and change nothing")
	flags.BoolVar(&f.json, "json", false, "print the answer as JSON, as the API has it")
	f.affects(cmd)
	// What comes after the command's name is the command's.
	cmd.Flags().SetInterspersed(false)
	_ = cmd.RegisterFlagCompletionFunc("tenant", f.complete) // it fails only if there is no such flag
}

// affects adds --affect-others.
func (f *firewallFlags) affects(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.affectOthers, "affect-others", false, "for operators: put a command that cannot be confined to the tenant into\n"+
		"iptables as it is")
}

// check says which flag has a value that cannot be.
func (f *firewallFlags) check() error {
	if f.tenant == "" {
		return errWhose
	}
	if err := tenant.CheckID(f.tenant); err != nil {
		return fmt.Errorf("--tenant: %w", err)
	}
	switch {
	case f.tls != (client.TLSFiles{}) && !strings.HasPrefix(f.backend, "https://"):
		return errors.New("--cert, --key and --ca are for --backend https://…; on a socket, the agent knows who you are")
	case (f.tls.Cert == "") != (f.tls.Key == ""):
		return errors.New("--cert and --key belong together: give both")
	}
	return nil
}

// run does something with the firewall of the flags.
func (f *firewallFlags) run(cmd *cobra.Command, do func(context.Context, *asked) error) error {
	if err := f.check(); err != nil {
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

// complete lists the tenants that the caller may see.
func (f *firewallFlags) complete(cmd *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	c, err := client.New(ctx, client.Options{Backend: f.backend, TLS: f.tls})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	list, err := c.Tenants(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, t := range list.Tenants {
		if strings.HasPrefix(t.ID, start) {
			ids = append(ids, t.ID)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

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
