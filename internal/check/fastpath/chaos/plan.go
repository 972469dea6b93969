// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// plan is who has which address, of one family:
//
//	guest0  red-0, red-2 ─┐
//	guest1  red-1        ─┴ br-red  red  ┐
//	guest2  blue-0       ── br-blue blue ┴ ens3 uplink ── routerA, routerB ── server, echoer
type plan struct {
	family                            int
	guest0, guest1, guest2, red, blue string
	uplink, spare                     string
	// routerA and routerB lead to the servers both.
	routerA, routerB, server, echoer string
	// publicA and publicB are what guest1's datagrams may come from.
	publicA, publicB string
	// everybody is a group that a guest which has moved speaks to.
	everybody string
	// hidden are the addresses that are never seen outside, because they are translated.
	reds, guests, hidden, servers netip.Prefix
	// iptables is the first part of the program's name.
	iptables string
	// settings are each namespace's, forward those of a router.
	settings []string
	forward  string
	// one and net are lengths of prefixes.
	one, net     string
	nodad        string
	translations []step
	words        *strings.Replacer
}

// plans returns those of all families, by the number of the version of IP.
func plans() map[int]*plan { return map[int]*plan{4: plan4(), 6: plan6()} }

func plan4() *plan {
	p := &plan{
		family: unix.AF_INET, guest0: "192.168.0.10", guest1: "192.168.0.11", guest2: "192.168.1.10", red: "192.168.0.1", blue: "192.168.1.1",
		uplink: "192.0.2.1", spare: "192.0.2.50", routerA: "192.0.2.2", routerB: "192.0.2.3", server: "203.0.113.8", echoer: "203.0.113.9",
		publicA: "192.0.2.11", publicB: "192.0.2.12", everybody: "192.168.0.255",
		reds: netip.MustParsePrefix("192.168.0.0/24"), guests: netip.MustParsePrefix("192.168.0.0/16"), hidden: netip.MustParsePrefix("192.168.0.0/16"),
		servers: netip.MustParsePrefix("203.0.113.0/24"), iptables: "iptables", one: "32", net: "24",
		settings: []string{"net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"},
		forward:  "net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0",
	}
	p.translations = append(portTranslations("{uplink}", "{guest1}"),
		step{hypervisor, "iptables-nft -w -t nat -A POSTROUTING -o ens3 -s {guests} -j MASQUERADE"})
	return p.named()
}

// plan6 translates what guest1 sends, and routes all else as it is.
func plan6() *plan {
	p := &plan{
		family: unix.AF_INET6, guest0: "2001:db8:a::10", guest1: "2001:db8:a::11", guest2: "2001:db8:a:1::10", red: "2001:db8:a::1", blue: "2001:db8:a:1::1",
		uplink: "2001:db8:c::1", spare: "2001:db8:c::50", routerA: "2001:db8:c::2", routerB: "2001:db8:c::3", server: "2001:db8:b::8", echoer: "2001:db8:b::9",
		publicA: "2001:db8:c::11", publicB: "2001:db8:c::12", everybody: "ff02::1",
		reds: netip.MustParsePrefix("2001:db8:a::/64"), guests: netip.MustParsePrefix("2001:db8:a::/48"), hidden: netip.MustParsePrefix("2001:db8:a::11/128"),
		servers: netip.MustParsePrefix("2001:db8:b::/64"), iptables: "ip6tables", one: "128", net: "64", nodad: " nodad",
		settings: []string{
			"net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.router_solicitations=0",
			"net.ipv6.conf.all.accept_ra=0", "net.ipv6.conf.default.accept_ra=0",
			// Nobody says anything of his own accord: a bridge would believe that guest0 is back at the port that it has left.
			"net.ipv6.conf.default.addr_gen_mode=1",
			"net.ipv6.conf.default.mldv1_unsolicited_report_interval=100000000", "net.ipv6.conf.default.mldv2_unsolicited_report_interval=100000000",
		},
		forward: "net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0",
	}
	p.translations = append(portTranslations("[{uplink}]", "[{guest1}]"),
		step{outside, "ip route add {guests} via {uplink} dev a0 src {server}"})
	return p.named()
}

// portTranslations are how guest1's addresses and ports are translated.
func portTranslations(uplink, guest1 string) []step {
	return []step{
		{hypervisor, "{iptables}-nft -w -t nat -A PREROUTING -i ens3 -d {uplink} -p tcp --dport 2200 -j DNAT --to-destination " + guest1 + ":22"},
		{hypervisor, "{iptables}-nft -w -t nat -A POSTROUTING -o ens3 -s {guest1} -p udp -j SNAT --to-source {publicA}"},
		// So that it is the same connection outside if a guest's packet is the first that is seen of it.
		{hypervisor, "{iptables}-nft -w -t nat -A POSTROUTING -o ens3 -s {guest1} -p tcp --sport 22 -j SNAT --to-source " + uplink + ":2200"},
	}
}

// named lets commands name what is in the plan.
func (p *plan) named() *plan {
	var pairs []string
	for name, value := range map[string]string{
		"guest0": p.guest0, "guest1": p.guest1, "guest2": p.guest2, "red": p.red, "blue": p.blue, "uplink": p.uplink, "spare": p.spare,
		"routerA": p.routerA, "routerB": p.routerB, "server": p.server, "echoer": p.echoer, "publicA": p.publicA, "publicB": p.publicB,
		"reds": p.reds.String(), "guests": p.guests.String(), "servers": p.servers.String(),
		"iptables": p.iptables, "forward": p.forward, "one": p.one, "net": p.net, "nodad": p.nodad,
	} {
		pairs = append(pairs, fmt.Sprintf("{%s}", name), value)
	}
	p.words = strings.NewReplacer(pairs...)
	return p
}

// speaks reports whether an address is of those whose packets are judged: not of a link or a group alone.
func (p *plan) speaks(a netip.Addr) bool {
	return a.Is4() == (p.family == unix.AF_INET) && a.IsGlobalUnicast()
}
