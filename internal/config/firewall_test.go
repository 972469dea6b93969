// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

func anyFirewall(t *rapid.T) config.Firewall {
	return config.Firewall{
		Enabled:  rapid.Bool().Draw(t, "firewall.enabled"),
		StateDir: rapid.SampledFrom([]string{"/", "/s", "/s: #\"'é"}).Draw(t, "firewall.state_dir"),
		Pin:      rapid.SampledFrom([]string{"/bpf", "/sys/fs/bpf/x"}).Draw(t, "firewall.pin"),
		IPTables: rapid.SampledFrom([]config.IPTables{config.AutoIPTables, config.LegacyIPTables, config.NFTIPTables}).Draw(t, "firewall.iptables"),
		MaxRules: rapid.IntRange(1, 100000).Draw(t, "firewall.max_rules"),
	}
}

// Each bound of the firewall's settings, from both sides.
func TestFirewallBounds(t *testing.T) {
	for path, bounds := range map[string]struct{ good, bad []string }{
		"firewall.enabled":   {[]string{"true", "false"}, []string{"maybe"}},
		"firewall.state_dir": {[]string{"/", "/s"}, []string{"s", "''"}},
		"firewall.pin":       {[]string{"/sys/fs/bpf/x", "/bpf"}, []string{"x", "''", "/sys/fs/bpf", "/sys/fs/bpf/", "/sys/fs/bpf/x/.."}},
		"firewall.iptables":  {[]string{"auto", "legacy", "nft"}, []string{"''", "nftables", "Legacy"}},
		"firewall.max_rules": {[]string{"1", "100000"}, []string{"0", "-1", "100001"}},
	} {
		for _, value := range bounds.good {
			checkMistakes(t, mistakes(t, file(path, value)))
		}
		for _, value := range bounds.bad {
			checkMistakes(t, mistakes(t, file(path, value)), path)
		}
	}
}
