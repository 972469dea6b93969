// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/privilege"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

func newLabCommand() *cobra.Command {
	var opts lab.Options
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Create and remove virtual networks to ping through",
		Long: `Create and remove virtual networks to ping through: the paper's topologies, and one that two
tenants share, made of network namespaces. The hypervisor is a namespace, too; the host's
own network is never touched. Needs root. The topologies are:

` + topologyList(),
		Example: `  dwell lab up bridge
  dwell lab exec bridge -- ping -c 3 203.0.113.8
  dwell lab down
  dwell lab run bridge`,
		Args: cobra.NoArgs,
	}
	cmd.PersistentFlags().Var(newPrefixFlag(&opts.Prefix, lab.DefaultPrefix), "prefix",
		"prefix of the namespaces' names; labs with different prefixes are independent")
	cmd.AddCommand(newLabUpCommand(&opts), newLabDownCommand(&opts), newLabListCommand(&opts), newLabExecCommand(&opts), newLabRunCommand(&opts))
	return cmd
}

func newLabUpCommand(opts *lab.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "up TOPOLOGY",
		Short: "Create a topology, or repair it",
		Long: `Create a topology. If it is already up, it stays as it is, and only what is missing is
created. If dwell lab up fails or is interrupted, it removes what it has created.`,
		Example:   `  dwell lab up bridge`,
		Args:      oneTopology,
		ValidArgs: topologyNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := labPrivileges(); err != nil {
				return err
			}
			l, err := lab.Up(cmd.Context(), args[0], *opts)
			if err != nil {
				return err
			}
			return describeLab(cmd.OutOrStdout(), l, opts.Prefix)
		},
	}
}

func newLabDownCommand(opts *lab.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "down [TOPOLOGY]",
		Short: "Remove a topology, or all of them",
		Long: `Remove a topology or, without an argument, all of them, including what a crash has left
behind. The kernel keeps a namespace until the last process in it ends.`,
		Example: `  dwell lab down bridge
  dwell lab down`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: topologyNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := labPrivileges(); err != nil {
				return err
			}
			removed, err := lab.Down(cmd.Context(), strings.Join(args, ""), *opts)
			if err != nil {
				return err
			}
			message := "nothing to remove"
			if len(removed) > 0 {
				message = "removed " + strings.Join(removed, ", ")
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), message)
			return err
		},
	}
}

func newLabListCommand(opts *lab.Options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the topologies and show which are up",
		Long:    `List the topologies with their state, the addresses to ping, and their namespaces.`,
		Example: `  dwell lab list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := labPrivileges(); err != nil {
				return err
			}
			all, err := lab.List(*opts)
			if err != nil {
				return err
			}
			return writeLabs(cmd.OutOrStdout(), all)
		},
	}
}

// writeLabs writes the table of dwell lab list.
func writeLabs(w io.Writer, all []lab.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOPOLOGY\tSTATE\tTARGETS\tNAMESPACES")
	for _, s := range all {
		spaces := "-"
		if len(s.NetNS) > 0 {
			names := make([]string, len(s.NetNS))
			for i, ns := range s.NetNS {
				names[i] = ns.Name
			}
			spaces = strings.Join(names, ", ")
		}
		if len(s.Missing) > 0 {
			spaces += " (missing: " + strings.Join(s.Missing, ", ") + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Topology.Name, s.State, targets(s.Topology), spaces)
	}
	return table.Flush()
}

// describeLab says what is up and what to do with it.
func describeLab(w io.Writer, l *lab.Lab, prefix string) error {
	t := l.Topology()
	var out strings.Builder
	fmt.Fprintf(&out, "%s is up: %s\n", t.Name, t.Summary)
	for _, role := range t.Roles() {
		inode, name := l.NetNS(role)
		fmt.Fprintf(&out, "  %-11s network namespace %s (inode %d)\n", role, name, inode)
	}
	flag := ""
	if prefix != lab.DefaultPrefix {
		flag = " --prefix " + prefix
	}
	for _, p := range t.Pings() {
		in := ""
		if p.From != t.Roles()[0] {
			in = " --in " + p.From
		}
		fmt.Fprintf(&out, "try: dwell lab exec%s %s%s -- ping -c 3 %s\n", flag, t.Name, in, p.To)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// prefixFlag is the value of a --prefix that has been checked.
type prefixFlag struct{ prefix *string }

func newPrefixFlag(prefix *string, value string) prefixFlag {
	*prefix = value
	return prefixFlag{prefix}
}

// String implements pflag.Value.
func (f prefixFlag) String() string {
	if f.prefix == nil {
		return ""
	}
	return *f.prefix
}

// Set implements pflag.Value.
func (f prefixFlag) Set(prefix string) error {
	*f.prefix = prefix
	return lab.CheckPrefix(prefix)
}

// Type implements pflag.Value.
func (prefixFlag) Type() string { return "string" }

// labPrivileges is [privileges] for dwell lab.
func labPrivileges() error { return privileges("dwell lab") }

// privileges fails unless the process may make namespaces and devices.
func privileges(command string) error {
	have, err := privilege.Effective()
	if err != nil {
		return err
	}
	if len(have.Missing(privilege.SysAdmin, privilege.NetAdmin)) > 0 {
		return errors.New(command + " needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN): try sudo")
	}
	return nil
}

func oneTopology(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one topology: %s", strings.Join(topologyNames(), ", "))
	}
	return nil
}

func topologyNames() []string {
	var names []string
	for _, t := range lab.Topologies() {
		names = append(names, t.Name)
	}
	return names
}

func topologyList() string {
	var out strings.Builder
	for _, t := range lab.Topologies() {
		fmt.Fprintf(&out, "  %-18s %s\n", t.Name, t.Summary)
	}
	return out.String()
}

func targets(t lab.Topology) string {
	if t.Target6.IsValid() {
		return t.Target4.String() + ", " + t.Target6.String()
	}
	return t.Target4.String()
}
