// SPDX-License-Identifier: Apache-2.0

package waterfall

import "github.com/dwelltrace/dwell/correlate/trace"

// actions are the events that say what was done to the packet.
var actions = [...]string{trace.EventFirewall, trace.EventRedirect, trace.EventFallback, trace.EventLearn}

// actionText returns, for example, "firewall verdict 1 reason 2 tenant 7 rule 3" or
// "fastpath.redirect verdict 1 → veth7".
func actionText(e trace.Event, value map[string]string, into string) string {
	known := map[string]string{
		trace.AttrVerdict: " verdict ", trace.AttrReason: " reason ", trace.AttrTenantNumber: " tenant ",
		trace.AttrRule: " rule ",
	}
	line := e.Name
	for _, a := range e.Attrs {
		switch name, ok := known[a.Key]; {
		case ok:
			line += name + a.Value()
		case a.Key != trace.AttrNetworkInterface:
			line += " " + a.Key + "=" + a.Value()
		}
	}
	if to := value[trace.AttrNetworkInterface]; to != "" {
		line += " " + into + " " + to
	}
	return line
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
