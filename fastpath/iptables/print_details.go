// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"fmt"
	"strings"
)

// details are what a rule's matches and target say, in the last column of -L. What only the code
// of an extension knows how to list is as iptables-save prints it.
func (r *Rule) details() string {
	if r.Verbatim != nil {
		return r.Conditions()
	}
	var t textOf
	for i := range r.Matches {
		r.Matches[i].details(&t)
	}
	if r.Target.Goto {
		t.add("[goto]")
	}
	t.options(r.Target.Options)
	return t.String()
}

func (m *Match) details(t *textOf) {
	if m.Name == "comment" && len(m.Options) == 1 {
		t.add("/* " + m.Options[0].Args[0] + " */")
		return
	}
	if m.Name != "icmp" && m.Name != "icmp6" && m.Name != "state" && m.Name != "conntrack" {
		t.add(m.Name)
	}
	for _, o := range m.Options {
		not := ""
		if o.Not {
			not = "!"
		}
		switch o.Name {
		case "--sport", "--dport":
			t.add(portDetails(o.Name[2:3]+"pt", not, o.Args[0]))
		case "--sports", "--dports", "--ports":
			t.add(o.Name[2:], not+o.Args[0])
		case "--tcp-flags":
			mask, _ := parseFlags(o.Args[0])
			want, _ := parseFlags(o.Args[1])
			t.add(fmt.Sprintf("flags:%s0x%02X/0x%02X", not, mask, want))
		case "--icmp-type", "--icmpv6-type":
			t.add(icmpDetails(m.Name, not, o.Args[0]))
		case "--state", "--ctstate", "--ctdir":
			t.not(o.Not)
			t.add(o.Name[2:], o.Args[0])
		default:
			t.options([]Option{o})
		}
	}
}

// portDetails prints one port as "dpt:22" and several as "dpts:22:80".
func portDetails(name, not, ports string) string {
	if strings.Contains(ports, ":") {
		name += "s"
	}
	return name + ":" + not + ports
}

func icmpDetails(match, not, kind string) string {
	name := "icmptype"
	if match == "icmp6" {
		name = "ipv6-icmptype"
	}
	kind, code, hasCode := strings.Cut(kind, "/")
	if hasCode {
		kind += " code " + code
	}
	if kind == "any" {
		kind = "255"
	}
	return strings.TrimSpace(not + " " + name + " " + kind)
}
