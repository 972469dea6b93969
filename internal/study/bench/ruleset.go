// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/dwelltrace/dwell/internal/netns"
)

// ruleTool puts firewall rules that match nothing into the FORWARD chain of a
// namespace, in place of those it put there before.
type ruleTool struct {
	name string
	set  func(ctx context.Context, ns *netns.NS, n int) error
}

// findRuleTool returns the first tool that works in the namespace. The paper's rules
// were those of the old iptables, so that comes first; the newer one writes the same
// rules for nf_tables; without either, nf_tables is spoken to directly.
func findRuleTool(ctx context.Context, ns *netns.NS, ipv6 bool) (ruleTool, error) {
	program := "iptables"
	if ipv6 {
		program = "ip6tables"
	}
	var errs []error
	for _, name := range []string{program + "-legacy-restore", program + "-nft-restore", program + "-restore"} {
		path, err := exec.LookPath(name)
		if err == nil {
			tool := ruleTool{name: toolVersion(ctx, path, name), set: func(ctx context.Context, ns *netns.NS, n int) error {
				return restore(ctx, ns, path, n, ipv6)
			}}
			if err = tool.set(ctx, ns, 0); err == nil {
				return tool, nil
			}
		}
		errs = append(errs, err)
	}
	tool := ruleTool{name: "nf_tables, without iptables", set: func(_ context.Context, ns *netns.NS, n int) error {
		return setNFTables(ns, n, ipv6)
	}}
	if err := tool.set(ctx, ns, 0); err != nil {
		return tool, fmt.Errorf("no way to add firewall rules; install iptables: %w", errors.Join(append(errs, err)...))
	}
	return tool, nil
}

// SetRules puts n firewall rules that match nothing into the FORWARD chain of the
// namespace, in place of those it put there before, as [Config.Rules] does. It returns
// what it made them with. It needs CAP_NET_ADMIN in the namespace.
func SetRules(ctx context.Context, ns *netns.NS, n int) (tool string, err error) {
	t, err := findRuleTool(ctx, ns, false)
	if err != nil {
		return "", err
	}
	return t.name, t.set(ctx, ns, n)
}

// toolVersion returns what "iptables-restore --version" prints, such as
// "iptables-legacy-restore v1.8.9 (legacy)".
func toolVersion(ctx context.Context, path, name string) string {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return name
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return strings.TrimSpace(name + " " + version)
}

// restore gives iptables-restore all rules at once. The process inherits the network
// namespace of the thread that starts it.
func restore(ctx context.Context, ns *netns.NS, path string, n int, ipv6 bool) error {
	var rules, stderr bytes.Buffer
	rules.WriteString("*filter\n-F FORWARD\n")
	for i := range n {
		fmt.Fprintf(&rules, "-A FORWARD -s %s -j DROP\n", unusedSource(i, ipv6))
	}
	rules.WriteString("COMMIT\n")
	return ns.Do(func() error {
		// --noflush leaves what is in other chains, -w waits for another iptables.
		cmd := exec.CommandContext(ctx, path, "--noflush", "-w", "10")
		cmd.Stdin, cmd.Stderr = &rules, &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s with %d rules: %w: %s", path, n, err, bytes.TrimSpace(stderr.Bytes()))
		}
		return nil
	})
}

// MaxRules is how many addresses there are to make rules of: 198.18.0.0/15, set apart
// for benchmarks (RFC 2544, appendix C.2.2).
const MaxRules = 1 << 17

// unusedSource returns the i-th address that no packet of a lab comes from; with IPv6
// one of 2001:2::/48, set apart for benchmarks too (RFC 5180).
func unusedSource(i int, ipv6 bool) netip.Addr {
	if ipv6 {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0, 2, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
	}
	return netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)})
}
