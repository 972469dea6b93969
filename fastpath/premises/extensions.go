// SPDX-License-Identifier: Apache-2.0

package premises

import "slices"

// What matches of iptables do beside to match. Those that are not here may do anything.
func matchKinds() (harmless, stateful, effects []string) {
	harmless = []string{
		"addrtype", "ah", "bpf", "cgroup", "cluster", "comment", "cpu", "dccp", "devgroup", "dscp", "dst", "ecn", "esp", "eui64", "frag",
		"hbh", "hl", "icmp", "icmp6", "icmpv6", "ipcomp", "iprange", "ipv6header", "length", "mac", "mark", "mh", "multiport", "owner",
		"physdev", "pkttype", "policy", "rateest", "realm", "rpfilter", "rt", "sctp", "set", "socket", "srh", "string", "tcp", "tcpmss", "time",
		"tos", "ttl", "u32", "udp", "udplite",
	}
	stateful = []string{"connbytes", "connlabel", "connmark", "conntrack", "helper", "ipvs", "state"}
	// These keep a count, or log, of what passes by.
	effects = []string{"connlimit", "hashlimit", "limit", "nfacct", "osf", "quota", "recent", "statistic"}
	return harmless, stateful, effects
}

// ofMatch notes what a match does.
func (r *rule) ofMatch(name string) {
	harmless, stateful, effects := matchKinds()
	switch {
	case slices.Contains(harmless, name):
	case slices.Contains(stateful, name):
		r.state = true
	case slices.Contains(effects, name):
		r.does(seen, "counts with the match "+name)
	default:
		r.does(rewrites, "has the match "+name+", which is not known")
		r.does(seen, "has the match "+name+", which is not known")
	}
}

// ofTarget notes what a target does that has no options that matter here, or whose options
// were read.
func (r *rule) ofTarget(name string) {
	switch name {
	case "", "ACCEPT", "DROP", "RETURN", "MARK", "CLASSIFY", "CHECKSUM", "SNAT", "MASQUERADE":
	case "CONNMARK", "CONNSECMARK":
		r.state = true // of ICMP, whose connections cannot be looked for
	case "DNAT", "REDIRECT", "NETMAP", "TPROXY":
		r.does(translates, "translates destinations ("+name+")")
	case "TOS", "DSCP", "TTL", "HL", "ECN", "TCPOPTSTRIP", "TCPMSS":
		// Nothing of it is left if the packet is dropped.
		r.does(rewrites, "changes packets ("+name+")")
	case "LOG", "NFLOG", "ULOG", "TRACE", "NFQUEUE", "QUEUE", "TEE", "SET", "AUDIT", "IDLETIMER", "LED", "RATEEST", "SECMARK", "HMARK",
		"NOTRACK", "REJECT", "SYNPROXY":
		r.does(seen, "has the target "+name)
	default:
		r.does(rewrites, "has the target "+name+", which is not known")
		r.does(seen, "has the target "+name+", which is not known")
	}
}

func (r *rule) does(kind actKind, what string) {
	r.acts = append(r.acts, act{kind: kind, what: what})
}

// zone notes a zone of connection tracking.
func (r *rule) zone(n uint16) { r.acts = append(r.acts, act{kind: zoned, zone: n}) }

// uses notes bits of the mark: those of a value, and those of a mask that leaves some to others.
func (r *rule) uses(value, mask uint32) {
	r.bits |= value
	if mask != ^uint32(0) {
		r.bits |= mask
	}
}

// sets notes bits of the mark that are set. To clear bits does not use them.
func (r *rule) sets(value, mask uint32) {
	if value != 0 {
		r.uses(value, mask)
	}
}
