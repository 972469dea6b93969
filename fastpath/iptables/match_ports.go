// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// services are names of ports, as in /etc/services. The file itself is not read, because a
// rule must not change its meaning with it.
var services = map[string]uint16{
	"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37, "whois": 43, "tacacs": 49,
	"domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "gopher": 70, "finger": 79, "http": 80, "www": 80,
	"kerberos": 88, "pop3": 110, "pop-3": 110, "sunrpc": 111, "auth": 113, "ident": 113, "nntp": 119, "ntp": 123,
	"epmap": 135, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139, "imap2": 143, "imap": 143,
	"snmp": 161, "snmp-trap": 162, "snmptrap": 162, "bgp": 179, "irc": 194, "ldap": 389, "https": 443,
	"microsoft-ds": 445, "submissions": 465, "isakmp": 500, "syslog": 514, "printer": 515, "route": 520,
	"dhcpv6-client": 546, "dhcpv6-server": 547, "submission": 587, "ipp": 631, "ldaps": 636, "rsync": 873,
	"ftps-data": 989, "ftps": 990, "telnets": 992, "imaps": 993, "pop3s": 995, "socks": 1080, "openvpn": 1194,
	"ms-sql-s": 1433, "radius": 1812, "radius-acct": 1813, "nfs": 2049, "mysql": 3306, "svn": 3690,
	"ipsec-nat-t": 4500, "sip": 5060, "sip-tls": 5061, "mdns": 5353, "postgresql": 5432, "amqp": 5672,
	"x11": 6000, "redis": 6379, "http-alt": 8080, "zabbix-agent": 10050, "zabbix-trapper": 10051,
}

// port reads a port's number or name.
func port(text string) (uint16, bool) {
	if n, err := strconv.ParseUint(text, 0, 16); err == nil && !strings.Contains(text, "_") {
		return uint16(n), true
	}
	n, is := services[text]
	return n, is
}

// portRange reads LO:HI, in which either may be missing, or one port.
func portRange(text string) (lo, hi uint16, err error) {
	from, to, isRange := strings.Cut(text, ":")
	lo, hi = 0, 0xffff
	var ok bool
	if from != "" || !isRange {
		if lo, ok = port(from); !ok {
			return 0, 0, fmt.Errorf("invalid port/service `%s' specified", from)
		}
	}
	if !isRange {
		return lo, lo, nil
	}
	if to != "" {
		if hi, ok = port(to); !ok {
			return 0, 0, fmt.Errorf("invalid port/service `%s' specified", to)
		}
	}
	if lo > hi {
		return 0, 0, fmt.Errorf("invalid portrange (min > max) `%s'", text)
	}
	return lo, hi, nil
}

const portHint = "write a port from 0 to 65535, or a range such as 1024:65535"

func rangeText(lo, hi uint16) string {
	if lo == hi {
		return strconv.Itoa(int(lo))
	}
	return fmt.Sprintf("%d:%d", lo, hi)
}

// ports reads --sport and --dport.
func (g *given) ports() []Option {
	var options []Option
	for _, name := range []string{"--sport", "--dport"} {
		o := g.option(name, true)
		if o == nil {
			continue
		}
		lo, hi, err := portRange(o.Args[0])
		if err != nil {
			g.fail(g.argumentAt(o), err.Error(), portHint)
		}
		if lo == 0 && hi == 0xffff && !o.Not && (g.in.name == "tcp" || g.in.name == "udp") {
			continue // as iptables, which prints nothing for it
		}
		options = append(options, Option{o.Not, name, []string{rangeText(lo, hi)}})
	}
	return options
}

func normalUDP(g *given) []Option {
	g.needs(header.UDP)
	return g.ports()
}

// verbatim appends options as they are.
func (g *given) verbatim(options []Option, names ...string) []Option {
	for _, name := range names {
		if o := g.option(name, true); o != nil {
			options = append(options, o.Option)
		}
	}
	return options
}

func normalSCTP(g *given) []Option {
	g.needs(header.SCTP)
	return g.verbatim(g.ports(), "--chunk-types")
}

func normalDCCP(g *given) []Option {
	g.needs(header.DCCP)
	return g.verbatim(g.ports(), "--dccp-types", "--dccp-option")
}

func normalMultiport(g *given) []Option {
	g.needs(header.TCP, header.UDP, header.UDPLite, header.SCTP, header.DCCP)
	var found []Option
	for _, name := range []string{"--sports", "--dports", "--ports"} {
		o := g.option(name, true)
		if o == nil {
			continue
		}
		var list []string
		count := 0
		for part := range strings.SplitSeq(o.Args[0], ",") {
			lo, hi, err := portRange(part)
			if err != nil || strings.HasPrefix(part, ":") || strings.HasSuffix(part, ":") {
				g.fail(g.argumentAt(o), "invalid port/service `"+part+"' specified", "write ports such as 22,80,1000:2000")
			}
			count++
			if strings.Contains(part, ":") {
				count++
				list = append(list, fmt.Sprintf("%d:%d", lo, hi))
				continue
			}
			list = append(list, rangeText(lo, hi))
		}
		if count > 15 {
			g.fail(g.argumentAt(o), "too many ports specified", "there may be 15, and a range counts as two: write two rules")
		}
		found = append(found, Option{o.Not, name, []string{strings.Join(list, ",")}})
	}
	if len(found) != 1 {
		g.fail(g.in.at, "multiport: no list of ports is given", "write one of --sports, --dports and --ports")
	}
	return found
}

// lowerPorts is for matches with --sport and --dport. Other options are not understood.
func lowerPorts(r *Rule, m *Match) ([]header.Box, string) {
	if protocolMatch(r.Family, r.Proto) != m.Name {
		return everything(), "the match " + m.Name + " is for another protocol than the rule"
	}
	switch {
	case bothRefused(m):
		return everything(), "iptables of nf_tables takes both ports for one number, so it matches if either differs"
	case allRefused(m):
		return everything(), "iptables of nf_tables takes no port for any port"
	}
	boxes, reason := everything(), ""
	for _, o := range m.Options {
		switch o.Name {
		case "--sport", "--dport":
			w := header.Sport
			if o.Name == "--dport" {
				w = header.Dport
			}
			boxes = header.IntersectBoxes(boxes, with(w, portSet(o.Args[0]), o.Not))
		default:
			reason = "only iptables can match " + o.Name
		}
	}
	return boxes, reason
}

// bothRefused reports whether a rule of TCP or UDP wants neither the one source port nor the one
// destination port. In iptables 1.8.9, add_nft_tcpudp in iptables/nft.c compares both at once, and
// so matches more than legacy iptables does.
func bothRefused(m *Match) bool {
	refused := 0
	for _, o := range m.Options {
		if lo, hi, err := portRange(first(o.Args)); o.Not && err == nil && lo == hi && (o.Name == "--sport" || o.Name == "--dport") {
			refused++
		}
	}
	return refused == 2 && (m.Name == "tcp" || m.Name == "udp")
}

// allRefused reports whether a rule wants none of all ports, which matches nothing in legacy iptables;
// add_nft_tcpudp leaves the condition out.
func allRefused(m *Match) bool {
	return slices.ContainsFunc(m.Options, func(o Option) bool {
		lo, hi, err := portRange(first(o.Args))
		return o.Not && err == nil && lo == 0 && hi == 0xffff && (o.Name == "--sport" || o.Name == "--dport")
	})
}

// first returns the first word, or "".
func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// portSet is the set of a normal list of ports.
func portSet(list string) header.Set {
	var intervals []header.Interval
	for part := range strings.SplitSeq(list, ",") {
		lo, hi, err := portRange(part)
		if err == nil {
			intervals = append(intervals, header.Interval{Lo: uint32(lo), Hi: uint32(hi)})
		}
	}
	return header.SetOf(intervals...)
}

func lowerMultiport(r *Rule, m *Match) ([]header.Box, string) {
	if r.Proto.Not || !slices.Contains([]uint8{header.TCP, header.UDP, header.UDPLite, header.SCTP, header.DCCP}, r.Proto.Number) {
		return everything(), "the match multiport is for another protocol than the rule"
	}
	o := m.Options[0]
	set := portSet(o.Args[0])
	switch o.Name {
	case "--sports":
		return with(header.Sport, set, o.Not), ""
	case "--dports":
		return with(header.Dport, set, o.Not), ""
	}
	if o.Not {
		return header.IntersectBoxes(with(header.Sport, set, true), with(header.Dport, set, true)), ""
	}
	return slices.Concat(
		with(header.Sport, set, false),
		header.IntersectBoxes(with(header.Sport, set, true), with(header.Dport, set, false)),
	), ""
}
