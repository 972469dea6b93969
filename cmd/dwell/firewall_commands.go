// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

func newFirewallListCommand(f *firewallFlags) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show a tenant's rules, who decides about each, and what they counted",
		Long: `Show a tenant's rules as iptables -vnL --line-numbers does, with who decides about the
packets of each rule (tc or iptables, and why), and for each port of the tenant how many
packets its program passed, dropped and left to the programs in FORWARD (deferred), and how long it took.
Without --tenant, all tenants that the caller may see; for an operator, everybody's.`,
		Example: `  dwell firewall list --tenant red
  dwell firewall list                              # of all tenants, for operators
  dwell firewall list --tenant red --family 6 --exact
  dwell firewall list --tenant red --json | jq '.families[].chains[].rules[].packets'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.family != 0 && o.family != 4 && o.family != 6 {
				return usageError(errFamily)
			}
			if f.tenant == "" && !f.direct {
				return f.listAll(cmd, o)
			}
			return f.run(cmd, func(ctx context.Context, a *asked) error { return a.list(ctx, o) })
		},
	}
	cmd.Flags().IntVar(&o.family, "family", 0, "only the rules of this family, 4 or 6 (default: both)")
	cmd.Flags().BoolVarP(&o.exact, "exact", "x", false, "print numbers in full, and not rounded to K, M or G")
	return cmd
}

// list prints one tenant's listing.
func (a *asked) list(ctx context.Context, o listOptions) error {
	l, err := a.firewall.List(ctx, a.flags.tenant)
	if err != nil {
		return a.failed(ctx, err, nil, "")
	}
	if a.flags.json {
		return writeJSON(a.out, l)
	}
	_, err = io.WriteString(a.out, listingText(l, o))
	return err
}

// listAll prints the listings of all tenants that the caller may see; as JSON a list of them.
func (f *firewallFlags) listAll(cmd *cobra.Command, o listOptions) error {
	ctx := cmd.Context()
	a, err := f.open(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { _ = a.close() }() // that of a connection, of which there is no error
	if a.agent == nil {
		return usageError(errWhose)
	}
	all, err := a.agent.client.Tenants(ctx)
	if err != nil {
		return a.failed(ctx, err, nil, "")
	}
	listings := []*firewall.Listing{}
	for i, t := range all.Tenants {
		a.agent.tenant, f.tenant = t.ID, t.ID
		l, err := a.firewall.List(ctx, t.ID)
		if err != nil {
			return a.failed(ctx, err, nil, "")
		}
		listings = append(listings, l)
		if f.json {
			continue
		}
		if _, err := fmt.Fprintf(a.out, "%sTenant %s\n%s", strings.Repeat("\n", min(i, 1)), t.ID, listingText(l, o)); err != nil {
			return err
		}
	}
	if f.json {
		return writeJSON(a.out, listings)
	}
	return nil
}

var errFamily = errors.New("--family is 4 or 6")

func newFirewallSaveCommand(f *firewallFlags) *cobra.Command {
	var family int
	cmd := &cobra.Command{
		Use:   "save",
		Short: "Print a tenant's rules as iptables-save does",
		Long:  `Print a tenant's rules of one family as iptables-save does; dwell firewall apply takes them.`,
		Example: `  dwell firewall save --tenant red > red.v4
  dwell firewall save --tenant red --family 6 > red.v6`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if family != 4 && family != 6 {
				return usageError(errFamily)
			}
			return f.run(cmd, func(ctx context.Context, a *asked) error {
				text, err := a.firewall.Save(ctx, f.tenant, family)
				if err != nil {
					return a.failed(ctx, err, nil, "")
				}
				if f.json {
					return writeJSON(a.out, map[string]any{"tenant": f.tenant, "family": family, "text": text})
				}
				_, err = io.WriteString(a.out, text)
				return err
			})
		},
	}
	cmd.Flags().IntVar(&family, "family", 4, "4 for iptables, 6 for ip6tables")
	return cmd
}

func newFirewallExplainCommand(f *firewallFlags) *cobra.Command {
	var packet string
	cmd := &cobra.Command{
		Use:   "explain --packet PACKET",
		Short: "Say what becomes of a packet, by which rule, and who decides",
		Long: `Say what becomes of a packet, by which rule, and who decides. A packet is written as
PROTOCOL SOURCE[:PORT] > DESTINATION[:PORT], and may be followed by, in any order:
syn,ack (flags of TCP), type 8/0 (of ICMP), ttl 63, length 84, tos 0x10,
state ESTABLISHED,reply, in DEVICE, out DEVICE, and from or to (the tenant). What is not
said is assumed, and the answer has it. Nothing is sent.`,
		Example: `  dwell firewall explain --tenant red --packet "icmp 192.168.0.10 > 203.0.113.8"
  dwell firewall explain --tenant red --packet "tcp 192.168.0.10:40000 > 203.0.113.8:22 syn"
  dwell firewall explain --tenant red --packet "udp [2001:db8::1]:53 > [2001:db8::2]:4000 to state ESTABLISHED,reply"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if packet == "" {
				packet = strings.Join(args, " ")
			} else if len(args) > 0 {
				return usageError(fmt.Errorf("what is %q? Quote the packet: --packet %q", args[0], packet+" "+strings.Join(args, " ")))
			}
			if packet == "" {
				return usageError(errors.New(`which packet? For example --packet "icmp 192.168.0.10 > 203.0.113.8"`))
			}
			return f.run(cmd, func(ctx context.Context, a *asked) error {
				e, err := a.firewall.Explain(ctx, f.tenant, packet)
				if err != nil {
					return a.failed(ctx, err, nil, packet)
				}
				if f.json {
					return writeJSON(a.out, e)
				}
				_, err = io.WriteString(a.out, explanationText(e))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&packet, "packet", "", "the `packet`, in quotes because of the >")
	return cmd
}

// explanationText says what becomes of a packet.
func explanationText(e *firewall.Explanation) string {
	by := "unknown: iptables alone can tell"
	undecided := e.Verdict != "pass" && e.Verdict != "drop"
	switch {
	case e.Decider != nil && undecided:
		by = fmt.Sprintf("unknown: it depends on rule %d of %s: %s", e.Decider.Number, e.Chain, e.Decider.Text)
	case e.Decider != nil:
		by = fmt.Sprintf("%s, by rule %d of %s: %s", e.Verdict, e.Decider.Number, e.Chain, e.Decider.Text)
	case !undecided:
		by = e.Verdict + ", by the policy of " + e.Chain
		if e.Chain == "" {
			by = e.Verdict + ", because no rule matches"
		}
	}
	path := "no rule"
	if undecided {
		path = "no rule before that"
	}
	if len(e.Path) > 0 {
		path = strings.Join(e.Path, ", ")
	}
	return fmt.Sprintf("packet   %s\nverdict  %s\nplace    %s: %s\nmatches  %s\n", e.Packet, by, e.Place, e.Reason, path)
}

func newFirewallFlushCommand(f *firewallFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "flush",
		Short: "Remove all of a tenant's rules, and everything that was made for them",
		Long: `Remove all of a tenant's rules of both families, its chains in iptables, its programs and
maps in the kernel, and the files in which the rules are kept. Nothing of them is left.
(-F, in contrast, empties chains and leaves the policy.)`,
		Example: `  dwell firewall flush --tenant red
  dwell firewall flush --tenant red --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd, func(ctx context.Context, a *asked) error { return a.flush(ctx) })
		},
	}
}

// flush removes everything, or says how much that is.
func (a *asked) flush(ctx context.Context) error {
	out := api.FirewallFlushed{DryRun: a.flags.dryRun}
	l, err := a.firewall.List(ctx, a.flags.tenant)
	if err == nil {
		out.Rules = agentapi.RulesOf(l)
	}
	if !out.DryRun { // even if what is in force cannot be read
		err = a.firewall.Flush(ctx, a.flags.tenant)
	}
	if err != nil {
		return a.failed(ctx, err, nil, "")
	}
	if a.flags.json {
		return writeJSON(a.out, out)
	}
	_, err = fmt.Fprintf(a.out, "%sremoved: %s of %s\n", dryPrefix(out.DryRun), counted(out.Rules, "rule"), a.flags.tenant)
	return err
}
