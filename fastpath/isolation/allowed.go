// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// maxLogged is how often in a second a tenant's rule may write to the host's log.
const maxLogged = 10

// maxLogBurst is how often it may do so at once.
const maxLogBurst = 100

// harmlessMatches are those that only look at the packet and its connection, or keep what
// they remember in the rule itself.
func harmlessMatches() []string {
	return []string{
		"addrtype", "ah", "comment", "connlimit", "connmark", "conntrack", "cpu", "dccp",
		"devgroup", "dscp", "dst", "ecn", "esp", "eui64", "frag", "hbh", "helper", "hl", "icmp", "icmp6", "iprange",
		"ipv6header", "length", "limit", "mac", "mark", "mh", "multiport", "owner", "pkttype", "policy",
		"quota", "realm", "rt", "sctp", "state", "statistic", "string", "tcp", "tcpmss", "time", "tos", "ttl", "u32",
		"udp", "udplite",
	}
}

// forbidden returns why a tenant may not have a rule, as a clause after "because", or "".
func forbidden(tenant string, chains []string, r *iptables.Rule) string {
	if r.Opaque != "" {
		return "dwell does not understand all of it (" + r.Opaque + "), and so does not know whom it affects"
	}
	for i := range r.Matches {
		if why := forbiddenMatch(tenant, &r.Matches[i]); why != "" {
			return why
		}
	}
	return forbiddenTarget(tenant, chains, r)
}

func option(options []iptables.Option, name string) (iptables.Option, bool) {
	i := slices.IndexFunc(options, func(o iptables.Option) bool { return o.Name == name })
	if i < 0 {
		return iptables.Option{}, false
	}
	return options[i], true
}

func value(options []iptables.Option, name string) string {
	if o, ok := option(options, name); ok && len(o.Args) > 0 {
		return o.Args[0]
	}
	return ""
}

// forbiddenMatch finds matches that change, or remember something, outside of the rule.
func forbiddenMatch(tenant string, m *iptables.Match) string {
	switch m.Name {
	case "connbytes":
		return "connbytes turns on the counting of all connections of the host"
	case "connlabel":
		if _, set := option(m.Options, "--set"); set {
			return "--set changes the label of connections, which others read"
		}
		return ""
	case "physdev":
		return "physdev has the packets of all bridges of the host pass iptables"
	case "recent":
		return ownList(tenant, "recent", "--name", value(m.Options, "--name"))
	case "hashlimit":
		if why := ownList(tenant, "hashlimit", "--hashlimit-name", value(m.Options, "--hashlimit-name")); why != "" {
			return why
		}
		return hoarding(m)
	case "set":
		if why := ownList(tenant, "set", "--match-set", value(m.Options, "--match-set")); why != "" {
			return why
		}
		if o, ok := option(m.Options, "--update-counters"); !ok || !o.Not {
			return "it counts in a set that is not " + tenant + "'s: add ! --update-counters"
		}
		return ""
	case "bpf":
		if _, pinned := option(m.Options, "--object-pinned"); pinned {
			return "--object-pinned runs a program of the host's"
		}
		return ""
	}
	if !slices.Contains(harmlessMatches(), m.Name) {
		return "dwell does not know whether the match " + m.Name + " changes what others use"
	}
	return ""
}

// hoarding says what is wrong with options of hashlimit that take much of the kernel's memory, or of
// its time.
func hoarding(m *iptables.Match) string {
	for _, bound := range []struct {
		option      string
		least, most uint64
	}{
		{"--hashlimit-htable-size", 1, 4096},
		{"--hashlimit-htable-max", 1, 65536},
		{"--hashlimit-htable-gcinterval", 1000, 1 << 31},
	} {
		if o, given := option(m.Options, bound.option); given {
			if n, ok := decimal(o.Args[0]); !ok || n < bound.least || n > bound.most {
				return fmt.Sprintf("%s %s would take the host's memory or time: use a number from %d to %d", bound.option, o.Args[0], bound.least, bound.most)
			}
		}
	}
	return ""
}

// decimal reads a number that iptables reads alike: it takes 0x10 and 010 as well, which are not what
// they look like to everybody.
func decimal(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return n, err == nil && (n == 0 && text == "0" || text[0] != '0')
}

// ownList says what is wrong with the name of a list that all rules of the host share.
func ownList(tenant, match, name, value string) string {
	if prefix := tenant + ":"; !strings.HasPrefix(value, prefix) || strings.Contains(value, "/") {
		return fmt.Sprintf("all rules of the host share the lists of %s: write %s %sNAME for one of %s's own", match, name, prefix, tenant)
	}
	return ""
}

func forbiddenTarget(tenant string, chains []string, r *iptables.Rule) string {
	t := &r.Target
	switch t.Kind {
	case iptables.NoTarget, iptables.Verdict:
		return ""
	case iptables.ToChain:
		if slices.Contains(chains, t.Name) {
			return ""
		}
		return fmt.Sprintf("%s is not a chain of %s's, and it may be somebody else's: make one with -N %s first", t.Name, tenant, t.Name)
	}
	switch t.Name {
	case "REJECT":
		return ""
	case "LOG", "NFLOG":
		return unlimited(r)
	case "MARK", "CONNMARK", "CONNSECMARK", "SECMARK", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "TCPMSS", "TCPOPTSTRIP",
		"ECN", "CHECKSUM", "SET", "CT", "NOTRACK", "SNAT", "DNAT", "MASQUERADE", "REDIRECT", "NETMAP", "TPROXY", "SYNPROXY",
		"HMARK", "DNPT", "SNPT":
		return t.Name + " changes packets or their connections, and others then receive or judge what it made of them"
	case "NFQUEUE", "QUEUE", "TEE", "CLUSTERIP", "TRACE":
		return t.Name + " hands packets to somebody else"
	case "AUDIT", "ULOG":
		return t.Name + " fills a log of the host's"
	}
	return "dwell does not know what the target " + t.Name + " does to others"
}

// unlimited says what is wrong with a rule that writes to the host's log.
func unlimited(r *iptables.Rule) string {
	const cure = "add -m limit --limit with at most " // a rate
	i := slices.IndexFunc(r.Matches, func(m iptables.Match) bool { return m.Name == "limit" })
	if i < 0 {
		return fmt.Sprintf("%s would fill the host's log: %s%d/second", r.Target.Name, cure, maxLogged)
	}
	options := r.Matches[i].Options
	if rate := value(options, "--limit"); rate != "" && perSecond(rate) > maxLogged {
		return fmt.Sprintf("%s at %s would fill the host's log: %s%d/second", r.Target.Name, rate, cure, maxLogged)
	}
	if burst, given := option(options, "--limit-burst"); given {
		if n, ok := decimal(burst.Args[0]); !ok || n > maxLogBurst {
			return fmt.Sprintf("a --limit-burst of %s would fill the host's log: use at most %d", burst.Args[0], maxLogBurst)
		}
	}
	if level, given := option(r.Target.Options, "--log-level"); given && !slices.Contains([]string{
		"4", "5", "6", "7", "warning", "notice", "info", "debug",
	}, level.Args[0]) {
		return "a --log-level of " + level.Args[0] + " alarms whoever works on the host: use warning, notice, info or debug"
	}
	return ""
}

// perSecond returns a rate such as 5/minute in 1/s. One that cannot be read is too high.
func perSecond(rate string) float64 {
	count, unit, _ := strings.Cut(rate, "/")
	n, ok := decimal(count)
	if !ok {
		return maxLogged + 1
	}
	for _, u := range []struct {
		name    string
		seconds float64
	}{{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}} {
		if strings.HasPrefix(u.name, strings.ToLower(unit)) {
			return float64(n) / u.seconds
		}
	}
	return maxLogged + 1
}
