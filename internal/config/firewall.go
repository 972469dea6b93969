// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

// maxFirewallRules bounds firewall.max_rules: what iptables can still put in place in seconds.
const maxFirewallRules = 100000

// bpfDir is where the BPF file system is mounted.
const bpfDir = "/sys/fs/bpf"

// Firewall says whether tenants may have firewall rules, and where those are kept.
type Firewall struct {
	Enabled  bool     `yaml:"enabled"`
	StateDir string   `yaml:"state_dir"`
	Pin      string   `yaml:"pin"`
	IPTables IPTables `yaml:"iptables"`
	MaxRules int      `yaml:"max_rules"`
}

// IPTables says which of the two kinds of iptables rules are written with.
type IPTables string

// The kinds of iptables.
const (
	// AutoIPTables: the one that the command iptables is.
	AutoIPTables   IPTables = "auto"
	LegacyIPTables IPTables = "legacy"
	NFTIPTables    IPTables = "nft"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (i *IPTables) UnmarshalText(text []byte) (err error) {
	*i, err = oneOf(string(text), AutoIPTables, LegacyIPTables, NFTIPTables)
	return err
}

func defaultFirewall() Firewall {
	return Firewall{StateDir: "/var/lib/dwell/firewall", Pin: bpfDir + "/dwell", IPTables: AutoIPTables, MaxRules: 20000}
}

func checkFirewall(f *Firewall, bad report) {
	present("firewall.state_dir", f.StateDir, bad)
	absolute("firewall.state_dir", f.StateDir, bad)
	checkPin("firewall.pin", f.Pin, bad)
	atLeastOne("firewall.max_rules", f.MaxRules, bad)
	if f.MaxRules > maxFirewallRules {
		bad("firewall.max_rules", "%d is more than %d", f.MaxRules, maxFirewallRules)
	}
}

// present is for settings without which there is no default.
func present(at, text string, bad report) {
	if strings.TrimSpace(text) == "" {
		bad(at, "it is empty; leave it out for the default")
	}
}

func firewallFields() []Field {
	return []Field{
		{Path: "firewall", Doc: "Firewall rules of tenants, which `dwell firewall` and the API take as iptables commands."},
		{
			Path: "firewall.enabled", Example: "true", Restart: true,
			Doc: "Whether tenants may have rules. The agent then changes what the host forwards, as tenants and operators ask; otherwise it only watches. Needs CAP_NET_ADMIN. Rules that are in force stay so when this is turned off or the agent ends: `dwell firewall flush` removes them.",
		},
		{Path: "firewall.state_dir", Example: "/srv/dwell/firewall", Restart: true, Doc: "Where rules are kept, to be put in force again after a reboot: for each tenant a directory with its ID, and in it rules.v4 and rules.v6 in the format of iptables-save(8). It is created if it does not exist. Only one agent at a time can use it."},
		{Path: "firewall.pin", Example: "/sys/fs/bpf/dwell-2", Restart: true, Doc: "A directory for the BPF programs, which stay in force while no agent runs. It must be in a BPF file system; one is mounted there if it is not."},
		{Path: "firewall.iptables", Example: "legacy", Restart: true, Doc: "Which iptables to use: `legacy`, `nft`, or with `auto` the one that the command `iptables` is."},
		{Path: "firewall.max_rules", Example: "1000", Restart: true, Doc: "How many rules one tenant may have for IPv4, and as many for IPv6; from 1 to 100000."},
	}
}
