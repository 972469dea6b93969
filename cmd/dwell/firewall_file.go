// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

func newFirewallApplyCommand(f *firewallFlags) *cobra.Command {
	var family int
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Replace a tenant's rules by those of a file",
		Long: `Replace all of a tenant's rules of one family by those of a file, as iptables-save writes it
and iptables-restore takes it: in one transaction. If one rule is refused, nothing is
changed. At no moment is there neither the old set nor the new one in force. - is standard
input. The family is that of the name (.v4, .v6) or of what is in the file, or of --family.`,
		Example: `  dwell firewall apply --tenant red rules.v4
  dwell firewall apply --tenant red --dry-run rules.v6
  dwell firewall save --tenant red | sed s/192.168.0.10/192.168.0.11/ | dwell firewall apply --tenant red --family 4 -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := readRules(cmd.InOrStdin(), args[0], family)
			if err != nil {
				return err
			}
			return f.run(cmd, func(ctx context.Context, a *asked) error { return a.apply(ctx, r, f.dryRun) })
		},
	}
	cmd.Flags().IntVar(&family, "family", 0, "4 for iptables, 6 for ip6tables (default: guessed)")
	return cmd
}

func newFirewallCheckCommand(f *firewallFlags) *cobra.Command {
	var family int
	cmd := &cobra.Command{
		Use:                   "check FILE | check -- iptables|ip6tables ARGUMENT...",
		DisableFlagsInUseLine: true,
		Short:                 "Say who would decide about a rule, or about those of a file",
		Long: `Say what would become of a command, or of the rules of a file: tc, iptables or refused, and
why. Nothing is changed. The exit status is 1 if something would be refused.`,
		Example: `  dwell firewall check --tenant red -- iptables -A FORWARD -m limit --limit 5/s -j DROP
  dwell firewall check --tenant red rules.v4`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.dryRun = true
			if name, _, _ := strings.Cut(args[0], " "); len(args) > 1 || isCommand(name) {
				return f.run(cmd, func(ctx context.Context, a *asked) error { return a.command(ctx, args) })
			}
			r, err := readRules(cmd.InOrStdin(), args[0], family)
			if err != nil {
				return err
			}
			return f.run(cmd, func(ctx context.Context, a *asked) error { return a.apply(ctx, r, true) })
		},
	}
	cmd.Flags().IntVar(&family, "family", 0, "of a file: 4 for iptables, 6 for ip6tables (default: guessed)")
	f.affects(cmd)
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// isCommand reports whether a word is iptables or ip6tables.
func isCommand(word string) bool { return word == "iptables" || word == "ip6tables" }

// apply puts rules in force, or says what would become of them.
func (a *asked) apply(ctx context.Context, r firewall.Restore, dry bool) error {
	r.Tenant, r.DryRun, r.Operator = a.flags.tenant, dry, a.flags.direct
	done := waiting(a.err, fmt.Sprintf("putting %s in force", counted(strings.Count(r.Text, "\n-"), "rule")))
	restored, err := a.firewall.Restore(ctx, r)
	done()
	if err != nil {
		return a.failed(ctx, err, nil, r.Text)
	}
	return a.restored(restored, dry)
}

// waitAfter is when somebody who waits is told for what, and how often how long.
const waitAfter = 500 * time.Millisecond

// waiting says on a terminal for how long something has been going on, until done is called.
func waiting(w io.Writer, what string) (done func()) {
	file, ok := terminal(w)
	if !ok {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(waitAfter)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				fmt.Fprint(file, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprintf(file, "\r%s: %.0f s", what, time.Since(began).Seconds())
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// readRules reads a file of rules, - for standard input, and finds out their family.
func readRules(stdin io.Reader, name string, family int) (firewall.Restore, error) {
	if family != 0 && family != 4 && family != 6 {
		return firewall.Restore{}, usageError(errFamily)
	}
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return firewall.Restore{}, usageError(err)
		}
		defer file.Close()
		stdin = file
	}
	text, err := io.ReadAll(io.LimitReader(stdin, api.MaxRules+1))
	switch {
	case err != nil:
		return firewall.Restore{}, err
	case len(text) > api.MaxRules:
		return firewall.Restore{}, fmt.Errorf("%s has more than %d MiB", name, api.MaxRules>>20)
	case strings.TrimSpace(string(text)) == "":
		return firewall.Restore{}, fmt.Errorf("%s is empty; to remove all rules, use dwell firewall flush", name)
	}
	if family == 0 {
		if family, err = guessFamily(name, string(text)); err != nil {
			return firewall.Restore{}, usageError(err)
		}
	}
	return firewall.Restore{Family: family, Text: string(text)}, nil
}

// guessFamily finds out whether rules are of iptables or of ip6tables: by the name of the
// file, by who has written it, or by the addresses in it.
func guessFamily(name, text string) (int, error) {
	byName := map[string]int{".v4": 4, ".v6": 6}[filepath.Ext(name)]
	byText := familyOf(text)
	switch {
	case byName != 0 && byText != 0 && byName != byText:
		return 0, fmt.Errorf("%s has rules of IPv%d: give the family (--family 4 or 6)", name, byText)
	case byName != 0:
		return byName, nil
	case byText != 0:
		return byText, nil
	}
	return 0, errors.New("it cannot be told whether these are rules of IPv4 or IPv6: give the family (--family 4 or 6)")
}

// familyOf returns the family of which a text has something, 0 if it has nothing of either, or
// of both.
func familyOf(text string) int {
	found := map[int]bool{}
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "# Generated by ip6tables-save"):
			return 6
		case strings.HasPrefix(line, "# Generated by iptables-save"):
			return 4
		case strings.HasPrefix(line, "#"):
			continue
		}
		for word := range strings.FieldsSeq(line) {
			if f := familyOfWord(word); f != 0 {
				found[f] = true
			}
		}
	}
	switch {
	case found[4] && !found[6]:
		return 4
	case found[6] && !found[4]:
		return 6
	}
	return 0
}

// familyOfWord returns the family of a word that only one has.
func familyOfWord(word string) int {
	switch word {
	case "icmp":
		return 4
	case "icmp6", "icmpv6", "ipv6-icmp":
		return 6
	}
	address, _, _ := strings.Cut(word, "/")
	address, _, _ = strings.Cut(address, ",")
	if a, err := netip.ParseAddr(address); err == nil && a.Is4() {
		return 4
	} else if err == nil {
		return 6
	}
	return 0
}
