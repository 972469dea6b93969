// SPDX-License-Identifier: Apache-2.0

package waterfall

import "github.com/dwelltrace/dwell/correlate/trace"

// firewallText returns, for example, "dropped by red's FORWARD rule 3 (tc)", and whether the
// packet was dropped.
func firewallText(e trace.Event, value map[string]string) (line string, dropped bool) {
	verdict, place, who := value[trace.AttrFirewallVerdict], value[trace.AttrFirewallPlace], e.Blame()
	if who == "" {
		who = whose(value)
	}
	switch verdict {
	case trace.VerdictDrop:
		line, dropped = "dropped by "+who, true
	case trace.VerdictPass:
		line = "passed by " + who
	case trace.VerdictDefer:
		line = "left to " + next(place) + " by " + who
	default:
		line = "perhaps dropped by " + who
	}
	if ns := value[trace.AttrFirewallNS]; ns != "" {
		line += " in " + ns + " ns"
	}
	if reason := value[trace.AttrFirewallReason]; reason != "" {
		line += ": " + reason
	}
	return line, dropped
}

// whose says whose firewall judged if its rule is not known, for example "red's firewall (tc)"
// or "firewall of tenant 7, rule 3".
func whose(value map[string]string) string {
	line := "a firewall"
	switch id, number := value[trace.AttrTenantID], value[trace.AttrTenantNumber]; {
	case id != "":
		line = id + "'s firewall"
	case number != "":
		line = "firewall of tenant " + number
	}
	if rule := value[trace.AttrRule]; rule != "" {
		line += ", rule with the ID " + rule
	}
	if place := value[trace.AttrFirewallPlace]; place != "" {
		line += " (" + place + ")"
	}
	return line
}

// next returns who judges after a place.
func next(place string) string {
	if place == "tc" {
		return "FORWARD"
	}
	return "iptables"
}

// errorText describes an ICMP error, for example "icmp error: time exceeded (11/0) from
// 192.0.2.1".
func errorText(value map[string]string, v4 bool) string {
	kind, code := value[trace.AttrICMPErrorType], value[trace.AttrICMPErrorCode]
	number := kind
	if code != "" {
		number += "/" + code
	}
	line := "icmp error: " + number
	if name := errorName(kind, code, v4); name != "" {
		line = "icmp error: " + name + " (" + number + ")"
	}
	if from := value[trace.AttrSourceAddress]; from != "" {
		line += " from " + from
	}
	return line
}

// errorName returns IANA's name of an ICMP error, in lower case, or "" for one that an echo
// does not cause (https://www.iana.org/assignments/icmp-parameters,
// https://www.iana.org/assignments/icmpv6-parameters).
func errorName(kind, code string, v4 bool) string {
	if v4 {
		switch {
		case kind == "3" && code == "4":
			return "fragmentation needed"
		case kind == "3":
			return "destination unreachable"
		case kind == "11":
			return "time exceeded"
		case kind == "12":
			return "parameter problem"
		}
		return ""
	}
	return map[string]string{
		"1": "destination unreachable", "2": "packet too big", "3": "time exceeded", "4": "parameter problem",
	}[kind]
}
