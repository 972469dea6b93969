// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Rules are a tenant's rules and the operator's, as text for iptables-restore.
type Rules struct {
	V6 bool
	// Chains are the tenant's own chains.
	Chains []string
	// Policy is that of the tenant's FORWARD: ACCEPT or DROP.
	Policy string
	// Lines are the tenant's rules: "-A FORWARD -p tcp -j DROP".
	Lines []string
	// Operator is the host's own rules, table by table.
	Operator []string
	// Rejects: there are rules that REJECT, which table mangle does not have.
	Rejects bool
	// Translates: the operator's rules translate addresses, of IPv4.
	Translates bool
}

// Tenant returns the tenant's rules as iptables-save writes them.
func (r *Rules) Tenant() string {
	var b strings.Builder
	fmt.Fprintf(&b, "*filter\n:FORWARD %s [0:0]\n", r.Policy)
	for _, c := range r.Chains {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	for _, l := range r.Lines {
		b.WriteString(l + "\n")
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// NewRules returns rules, always the same for a seed.
func NewRules(seed uint64, v6 bool) *Rules {
	r := ruleSource{source{rand.New(rand.NewPCG(seed, 1))}, v6}
	rules := &Rules{V6: v6, Policy: "ACCEPT", Rejects: r.chance(8)}
	if r.chance(3) {
		rules.Policy = "DROP"
	}
	for i := range r.IntN(4) {
		rules.Chains = append(rules.Chains, fmt.Sprintf("own%d", i))
	}
	plain := r.chance(2) // only what programs can judge
	for range 1 + r.IntN(pick(r.source, []int{3, 8, 20, 60})) {
		rules.Lines = append(rules.Lines, r.line("FORWARD", rules.Chains, plain, rules.Rejects))
	}
	for i, c := range rules.Chains {
		for range r.IntN(6) {
			rules.Lines = append(rules.Lines, r.line(c, rules.Chains[i+1:], plain, rules.Rejects))
		}
	}
	rules.Translates = !v6 && r.chance(3)
	rules.Operator = r.operator(rules)
	return rules
}

type ruleSource struct {
	source
	v6 bool
}

func (r ruleSource) line(chain string, below []string, plain, rejects bool) string {
	words := []string{"-A", chain}
	var proto string
	add := func(s ...string) { words = append(words, s...) }
	for _, option := range []string{"-s", "-d"} {
		if r.chance(3) {
			add(r.prefix(option)...)
		}
	}
	if r.chance(8) {
		add(r.not(), pick(r.source, []string{"-i", "-o"}), pick(r.source, []string{Bridge, Uplink, "br+", "ens+", "lo"}))
	}
	if !r.chance(4) {
		proto = pick(r.source, []string{"tcp", "tcp", "udp", r.icmp(), r.icmp(), "sctp", "gre", "udplite"})
		if r.chance(12) {
			add("!", "-p", proto)
			proto = ""
		} else {
			add("-p", proto)
		}
	}
	add(r.transport(proto)...)
	for range r.IntN(2) {
		add(r.match()...)
	}
	if !plain && r.chance(12) {
		add(r.stateful()...)
	}
	add(r.target(below, rejects)...)
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

func (r ruleSource) icmp() string {
	if r.v6 {
		return "ipv6-icmp"
	}
	return "icmp"
}

func (r ruleSource) not() string {
	if r.chance(5) {
		return "!"
	}
	return ""
}

// prefix returns a match of an address. To match no address at all is not possible.
func (r ruleSource) prefix(option string) []string {
	not, addr := r.not(), r.address(option == "-s")
	if strings.HasSuffix(addr, "/0") {
		not = ""
	}
	return []string{not, option, addr}
}

// address returns a prefix; mostly the guests' if it is a source, mostly others' if not.
func (r ruleSource) address(inside bool) string {
	if r.chance(4) {
		inside = !inside
	}
	switch {
	case r.v6 && inside:
		return pick(r.source, []string{guests6[0], guests6[1], "2001:db8:a::/64", "2001:db8::/32", "2001:db8:a::10/127", "::/0"})
	case r.v6:
		return pick(r.source, []string{peers6[0], peers6[1], "2001:db8:b::/64", "2001:db8:b::8/125", "2001:db8:b:0:0:0:0:0/68"})
	case inside:
		return pick(r.source, []string{guests4[0], guests4[1], "192.168.0.0/24", "192.168.0.10/31", "0.0.0.0/0", "192.168.0.0/255.255.0.255"})
	}
	return pick(r.source, []string{peers4[0], peers4[1], "203.0.113.0/24", "203.0.113.8/30", "203.0.113.64/26", publics4[0], "198.51.100.0/24"})
}

// transport returns matches that a protocol has.
func (r ruleSource) transport(proto string) []string {
	switch proto {
	case "tcp":
		if r.chance(3) {
			return []string{"-m tcp", r.not(), "--tcp-flags", pick(r.source, []string{
				"SYN,RST,ACK,FIN SYN", "SYN,ACK SYN,ACK", "ALL NONE", "RST RST", "FIN,PSH,URG FIN", "ACK NONE", "ALL ACK",
			})}
		}
		if r.chance(6) {
			return []string{"-m tcp", r.not(), "--syn"}
		}
		return r.ports(proto)
	case "udp", "sctp", "udplite":
		return r.ports(proto)
	case "icmp":
		if r.chance(2) {
			return []string{"-m icmp", r.not(), "--icmp-type", pick(r.source, []string{"8", "0", "3", "3/4", "echo-request", "any", "11", "8/1", "fragmentation-needed"})}
		}
	case "ipv6-icmp":
		if r.chance(2) {
			return []string{"-m icmp6", r.not(), "--icmpv6-type", pick(r.source, []string{"128", "129", "1", "1/4", "echo-request", "packet-too-big", "128/1"})}
		}
	}
	return nil
}

func (r ruleSource) ports(proto string) []string {
	port := func() string {
		p := pick(r.source, portSet)
		switch r.IntN(4) {
		case 0:
			return fmt.Sprintf("%d:%d", p, uint16(min(65535, int(p)+r.IntN(2000))))
		case 1:
			return fmt.Sprintf(":%d", p)
		}
		return fmt.Sprint(p)
	}
	switch r.IntN(5) {
	case 0:
		return nil
	case 1:
		if proto == "udplite" {
			return nil
		}
		list := []string{fmt.Sprint(pick(r.source, portSet)), "100:900", fmt.Sprint(pick(r.source, portSet))}
		return []string{"-m multiport", r.not(), pick(r.source, []string{"--dports", "--sports", "--ports"}), strings.Join(list[:1+r.IntN(3)], ",")}
	}
	if proto == "udplite" {
		return nil
	}
	m := []string{"-m", proto}
	if r.chance(2) {
		m = append(m, r.not(), "--dport", port())
	}
	if r.chance(3) || len(m) == 2 {
		m = append(m, r.not(), "--sport", port())
	}
	return m
}

// match returns a match that any protocol may have.
func (r ruleSource) match() []string {
	not, hl := r.not(), "-m ttl --ttl-"
	if r.v6 {
		hl = "-m hl --hl-"
	}
	state := pick(r.source, []string{"NEW", "ESTABLISHED", "ESTABLISHED,RELATED", "INVALID", "NEW,UNTRACKED", "RELATED", "SNAT", "DNAT", "NEW,DNAT"})
	list := [][]string{
		{"-m conntrack", not, "--ctstate", state},
		{"-m conntrack", not, "--ctstate", state},
		{"-m conntrack", "--ctdir", pick(r.source, []string{"ORIGINAL", "REPLY"})},
		{"-m conntrack", "--ctstate", state, "--ctdir", pick(r.source, []string{"ORIGINAL", "REPLY"})},
		{"-m state", not, "--state", pick(r.source, []string{"NEW", "ESTABLISHED,RELATED", "INVALID"})},
		{"-m length", not, "--length", pick(r.source, []string{"0:84", "28:100", "200:65535", "84"})},
		{"-m dscp", not, "--dscp", pick(r.source, []string{"0x04", "0x2e", "0x00"})},
		{"-m tos", not, "--tos", pick(r.source, []string{"0x10", "0x00/0x03", "0xb8/0xff"})},
		{hl + pick(r.source, []string{"eq 63", "lt 62", "gt 62", "eq 1", "lt 2"})},
		{"-m comment --comment", pick(r.source, []string{"x", `"two words"`, `"a \"quoted\" word"`})},
	}
	if !r.v6 {
		list = append(list, []string{"-m iprange", not, pick(r.source, []string{
			"--src-range 192.168.0.5-192.168.0.10", "--dst-range 203.0.113.8-203.0.113.70", "--src-range 203.0.113.0-203.0.113.9",
		})})
	} else {
		list = append(list, []string{"-m iprange", not, "--src-range", "2001:db8:a::f-2001:db8:b::8"})
	}
	return pick(r.source, list)
}

// stateful returns a match that only iptables can judge.
func (r ruleSource) stateful() []string {
	list := [][]string{
		{"-m statistic --mode nth --every 2 --packet 0"},
		{"-m quota --quota 3000"},
		{"-m mac --mac-source", ports[Guest0].far},
		{"-m pkttype --pkt-type unicast"},
		{"-m mark --mark 0x0/0xff"},
		{"-m connmark ! --mark 0x1"},
		{"-m string --algo bm --string A"},
	}
	if !r.v6 {
		list = append(list, []string{"-m addrtype --dst-type UNICAST"}, []string{`-m u32 --u32 "0x4>>0x10&0x1=0x1"`}, []string{"-f"}, []string{"! -f"})
	}
	return pick(r.source, list)
}

func (r ruleSource) target(below []string, rejects bool) []string {
	switch {
	case len(below) > 0 && r.chance(3):
		return []string{pick(r.source, []string{"-j", "-j", "-g"}), pick(r.source, below)}
	case rejects && r.chance(4):
		return []string{"-j REJECT"}
	}
	return pick(r.source, [][]string{{"-j ACCEPT"}, {"-j ACCEPT"}, {"-j DROP"}, {"-j DROP"}, {"-j RETURN"}, nil})
}

// translation is one to one, and once on the way from the guests.
var translation = strings.Join([]string{
	"*nat",
	"-A PREROUTING -d " + publics4[0] + " -j DNAT --to-destination " + guests4[0],
	"-A PREROUTING -d " + publics4[1] + " -j DNAT --to-destination " + guests4[1],
	"-A PREROUTING -i " + Bridge + " -d " + moved4 + " -j DNAT --to-destination " + target4,
	"-A POSTROUTING -s " + guests4[0] + " -o " + Uplink + " -j SNAT --to-source " + publics4[0],
	"-A POSTROUTING -s " + guests4[1] + " -o " + Uplink + " -j SNAT --to-source " + publics4[1],
	"COMMIT",
}, "\n") + "\n"

// operator returns the host's own rules: none, states, translation, or several of them.
func (r ruleSource) operator(rules *Rules) []string {
	var tables []string
	if r.chance(2) {
		lines := []string{"*filter"}
		// The reference has the tenant's rules in this table if they reject: then the
		// operator's cannot be told from them after an ACCEPT, and there are none.
		if !rules.Rejects {
			lines = append(lines,
				"-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
				"-A FORWARD -m conntrack --ctstate INVALID -j DROP",
				"-A FORWARD -p tcp -m tcp --dport 25 -j REJECT",
				"-A FORWARD -i "+Uplink+" -p udp -j DROP")
		}
		tables = append(tables, strings.Join(append(lines, "COMMIT"), "\n")+"\n")
	}
	if rules.Translates {
		tables = append(tables, translation)
	}
	if r.chance(6) {
		tables = append(tables, "*raw\n-A PREROUTING -p udp -m udp --dport 53 -j CT --notrack\nCOMMIT\n")
	}
	return tables
}
