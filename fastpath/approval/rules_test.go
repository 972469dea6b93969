// SPDX-License-Identifier: Apache-2.0

package approval_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// asked are flows that are asked about, by name.
func asked() map[string][2]*flow.Flow {
	out := map[string][2]*flow.Flow{}
	for name, a := range map[string]struct {
		proto uint8
		dst   string
		port  uint16
	}{
		"tcp 80": {6, "203.0.113.8", 80}, "udp 53": {17, "203.0.113.8", 53}, "echo": {1, "203.0.113.8", 8 << 8},
		"tcp6 80": {6, "2001:db8:9::8", 80}, "echo6": {58, "2001:db8:9::8", 128 << 8},
	} {
		forth, back := flows(a.proto, a.dst, a.port)
		out[name] = [2]*flow.Flow{forth, back}
	}
	return out
}

// check compares what is decided about flows of IPv4: those that are named are refused because of what, and
// the others are approved; "all" names all of IPv4, "every" those of IPv6, too.
func check(t *testing.T, p *approval.Policy, slow, what string) {
	t.Helper()
	for name, f := range asked() {
		want := slow == "every" || slow == "all" && !strings.Contains(name, "6 ") && name != "echo6"
		for s := range strings.SplitSeq(slow, ", ") {
			want = want || s == name
		}
		d := p.Judge(f[0], f[1])
		if d.OK == want {
			t.Errorf("%s: %+v, want refused: %v", name, d, want)
		}
		if want && !d.OK && (!strings.Contains(strings.ToLower(d.Detail), strings.ToLower(what)) || d.Reason != flow.Forbidden) {
			t.Errorf("%s: %+v, want %q", name, d, what)
		}
	}
}

// Which flows rules of iptables of either kind keep slow.
func TestIPTables(t *testing.T) {
	for name, c := range map[string]struct {
		rules      string // without the program
		slow, what string
	}{
		"nothing":                 {"-t filter -P FORWARD ACCEPT", "", ""},
		"policy":                  {"-t filter -P FORWARD DROP", "", ""}, // it has passed
		"accept":                  {"-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT", "", ""},
		"limit":                   {"-A FORWARD -m limit --limit 10/sec -j ACCEPT", "all", "limit"},
		"limit of a port":         {"-A FORWARD -p tcp -m tcp --dport 80 -m limit --limit 10/sec -j ACCEPT", "tcp 80", "limit"},
		"limit of new":            {"-A FORWARD -m conntrack --ctstate NEW -m limit --limit 10/sec -j ACCEPT", "", ""},
		"limit after established": {"-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -m limit --limit 10/sec -j LOG", "", ""},
		"limit after state":       {"-A FORWARD -m state --state ESTABLISHED -j ACCEPT\n-A FORWARD -j LOG", "", ""},
		"log after a port":        {"-A FORWARD -p udp -m udp --dport 53 -j ACCEPT\n-A FORWARD -p udp -m udp --sport 53 -j ACCEPT\n-A FORWARD -j LOG", "tcp 80, echo", "LOG"},
		"log after one direction": {"-A FORWARD -p udp -m udp --dport 53 -j ACCEPT\n-A FORWARD -j LOG", "all", "LOG"},
		"syn":                     {"-t mangle -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu", "", ""},
		"invalid":                 {"-A FORWARD -m conntrack --ctstate INVALID -j LOG\n-A FORWARD -m conntrack --ctstate INVALID -j DROP", "", ""},
		"log":                     {"-A FORWARD -j LOG", "all", "LOG"},
		"log of input":            {"-A INPUT -j LOG\n-A OUTPUT -j LOG", "", ""},
		"log early":               {"-t raw -A PREROUTING -j LOG", "all", "LOG"},
		"log late":                {"-t mangle -A POSTROUTING -o ens3 -j LOG", "all", "LOG"},
		"log of another's":        {"-A FORWARD -i br-blue -j LOG", "", ""},
		"log of own":              {"-A FORWARD -i br-red -p tcp -j LOG", "tcp 80", "LOG"},
		"nflog":                   {"-A FORWARD -d 203.0.113.8 -p icmp -j NFLOG", "echo", "log"},
		"queue":                   {"-A FORWARD -p tcp -j NFQUEUE --queue-num 1", "tcp 80", "NFQUEUE"},
		"length":                  {"-A FORWARD -p udp -m length --length 1000:65535 -j DROP", "udp 53", "length"},
		"length, and the rest":    {"-A FORWARD -m length --length 0:99 -j ACCEPT\n-A FORWARD -j ACCEPT", "", ""},
		"ttl":                     {"-A FORWARD -m ttl --ttl-lt 5 -j DROP", "all", ""},
		"dscp":                    {"-A FORWARD -m dscp --dscp 10 -j DROP", "", ""},
		"set dscp":                {"-t mangle -A FORWARD -p tcp -j DSCP --set-dscp 8", "tcp 80", "DSCP"},
		"set ttl":                 {"-t mangle -A PREROUTING -j TTL --ttl-inc 1", "all", "TTL"},
		"tcp flags":               {"-A FORWARD -p tcp -m tcp --tcp-flags PSH PSH -j DROP", "tcp 80", ""},
		"flags that none has":     {"-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK FIN -j DROP", "", ""},
		"string":                  {`-A FORWARD -p tcp -m string --algo bm --string "x" -j DROP`, "tcp 80", "string"},
		"u32":                     {`-A FORWARD -p icmp -m u32 --u32 "0x0&0xffff=0x1" -j DROP`, "echo", "u32"},
		"statistic":               {"-A FORWARD -m statistic --mode random --probability 0.5 -j DROP", "all", "statistic"},
		"time":                    {"-A FORWARD -m time --timestart 01:00 --timestop 02:00 -j DROP", "all", "time"},
		"hashlimit":               {"-A FORWARD -p udp -m hashlimit --hashlimit-upto 5/sec --hashlimit-name a -j ACCEPT", "udp 53", "hashlimit"},
		"quota":                   {"-A FORWARD -p udp -m quota --quota 1000 -j ACCEPT", "udp 53", "quota"},
		"connbytes":               {"-A FORWARD -m connbytes --connbytes 1000 --connbytes-dir both --connbytes-mode bytes -j DROP", "all", "connbytes"},
		"connlimit":               {"-A FORWARD -p tcp -m connlimit --connlimit-above 5 --connlimit-mask 32 -j DROP", "tcp 80", "connlimit"},
		"recent":                  {"-A FORWARD -p tcp -m recent --name a --set -j ACCEPT", "tcp 80", "recent"},
		"ecn":                     {"-A FORWARD -p tcp -m ecn --ecn-tcp-ece -j DROP", "tcp 80", ""},
		"mark":                    {"-t mangle -A PREROUTING -j MARK --set-xmark 0x1/0xffffffff\n-A FORWARD -m mark --mark 0x1 -j ACCEPT", "", ""},
		"log after some marks":    {"-A FORWARD -m mark --mark 0x1 -j ACCEPT\n-A FORWARD -j LOG", "all", "log"},
		"mark by length":          {"-t mangle -A PREROUTING -m length --length 0:99 -j MARK --set-xmark 0x1/0xffffffff", "all", "length"},
		"classify":                {"-t mangle -A POSTROUTING -p tcp -j CLASSIFY --set-class 1:2", "", ""},
		"connmark":                {"-t mangle -A PREROUTING -j CONNMARK --restore-mark", "", ""},
		"nat":                     {"-t nat -A POSTROUTING -o ens3 -j MASQUERADE\n-t nat -A PREROUTING -m limit --limit 1/sec -j ACCEPT", "", ""},
		"log in a chain":          {"-N a\n-A FORWARD -p tcp -m tcp --dport 80 -j a\n-A a -s 192.168.0.0/24 -j LOG", "tcp 80", "LOG"},
		"return before a log":     {"-N a\n-A FORWARD -j a\n-A a -p tcp -j RETURN\n-A a -p udp -j RETURN\n-A a -j LOG", "echo", "LOG"},
		"goto":                    {"-N a\n-N b\n-A FORWARD -p udp -g a\n-A FORWARD -j ACCEPT\n-A a -j b\n-A b -m statistic --mode nth --every 2 --packet 0 -j DROP", "udp 53", "statistic"},
		"reject the rest":         {"-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A FORWARD -j REJECT", "", ""},
		"what is not translated":  {"-A FORWARD -s 192.168.0.10 -p udp -j LOG", "udp 53", "LOG"},
		"what is translated":      {"-t mangle -A POSTROUTING -s 198.51.100.1 -p udp -j LOG", "udp 53", "LOG"},
		"translated, too early":   {"-A FORWARD -s 198.51.100.1 -p udp -j LOG", "", ""},
		"dwell's own":             {"-N dwell\n-A FORWARD -j dwell\n-A dwell -j LOG", "", ""},
		"expires":                 {"-A FORWARD -m conntrack --ctexpire 1:9 -j DROP", "all", "expire"},
		"direction":               {"-A FORWARD -p tcp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -j LOG", "tcp 80", "LOG"},
		"notrack":                 {"-t raw -A PREROUTING -d 192.0.2.0/24 -j CT --notrack", "", ""},
		"docker": {"-t nat -N DOCKER\n-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n-N DOCKER\n-N DOCKER-USER\n" +
			"-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n" +
			"-A FORWARD -o docker0 -j DOCKER\n-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n-A DOCKER-USER -j RETURN", "", ""},
	} {
		for _, kind := range []string{"legacy", "nft"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				ns := space(t)
				var script strings.Builder
				for l := range strings.Lines(c.rules) {
					fmt.Fprintf(&script, "iptables-%s %s\n", kind, strings.TrimSpace(l))
				}
				run(t, ns, script.String())
				check(t, approval.New(inputs(t, ns)), c.slow, c.what)
			})
		}
	}
}

// Which flows rules of nft keep slow.
func TestNFT(t *testing.T) {
	const raw, forward = "type filter hook prerouting priority raw;", "type filter hook forward priority 0;"
	for name, c := range map[string]struct {
		family, hook, rules string
		slow, what          string
	}{
		"nothing":                   {"inet", forward, "", "", ""},
		"counters":                  {"ip", forward, "counter\ncounter name n", "", ""},
		"limit":                     {"ip", forward, "limit rate 10/second accept", "all", "limit"},
		"limit of both families":    {"inet", forward, "limit rate 10/second accept", "every", "limit"},
		"limit of one family":       {"inet", forward, "meta nfproto ipv4 limit rate 10/second accept", "all", "limit"},
		"limit of IPv6":             {"inet", forward, "ip6 daddr 2001:db8:9::/48 limit rate 10/second accept", "tcp6 80, echo6", "limit"},
		"limit of a port":           {"inet", forward, "tcp dport 80 limit rate 10/second accept", "tcp 80, tcp6 80", "limit"},
		"limit of other ports":      {"ip", forward, "tcp dport 81-90 limit rate 10/second accept\nip saddr 192.168.0.0/24 udp dport != 53 limit rate 1/second drop", "", ""},
		"limit of a set":            {"ip", forward, "tcp dport { 80, 90 } limit rate 10/second accept", "tcp 80", "limit"},
		"limit of another set":      {"ip", forward, "tcp dport { 81, 90 } limit rate 10/second accept", "", ""},
		"limit of new":              {"ip", forward, "ct state new limit rate 10/second accept", "", ""},
		"after established":         {"inet", forward, "ct state established,related accept\nlog", "", ""},
		"after not new":             {"inet", forward, "ct state != new accept\nlog", "", ""},
		"log":                       {"ip", forward, "log", "all", "has log"},
		"log after a condition":     {"ip", forward, `iifname "br-blue" log`, "", ""},
		"log before a condition":    {"ip", forward, `log iifname "br-blue"`, "all", "has log"},
		"log of others' NIC":        {"ip", forward, `iifname "ens3" ip saddr 192.168.0.10 log`, "", ""},
		"length":                    {"ip", forward, "ip length < 100 drop", "all", "length"},
		"length of the packet":      {"ip", forward, "meta length < 100 drop", "all", "length"},
		"length of IPv6":            {"inet", forward, "ip6 length 100-200 drop", "tcp6 80, echo6", "length"},
		"all lengths":               {"ip", forward, "ip length < 100 accept\naccept", "", ""},
		"ttl":                       {"ip", forward, "ip ttl 3 drop", "all", ""},
		"no ttl":                    {"ip", forward, "ip ttl 0 drop", "", ""},
		"dscp":                      {"ip", forward, "ip dscp cs1 drop", "", ""},
		"dscp of IPv6":              {"inet", forward, "ip6 dscp cs1 drop", "", ""},
		"ecn":                       {"ip", forward, "ip ecn ce drop", "all", ""},
		"flow label":                {"inet", forward, "ip6 flowlabel 3 drop", "tcp6 80, echo6", "flow label"},
		"id":                        {"ip", forward, "ip id 3 drop", "all", "ID"},
		"fragments":                 {"ip", forward, "ip frag-off & 0x1fff != 0 log", "all", "log"},
		"may be fragmented":         {"ip", forward, "ip frag-off & 0x4000 != 0 drop", "all", "fragmented"},
		"flags":                     {"ip", forward, "tcp flags & (syn|ack) == syn log", "", ""},
		"flags that vary":           {"ip", forward, "tcp flags psh drop", "tcp 80", ""},
		"sequence numbers":          {"ip", forward, "icmp sequence 5 drop", "echo", "contains"},
		"types":                     {"ip", forward, "icmp type echo-request accept\nicmp type echo-reply accept\nicmp type != 3 log", "", ""},
		"payload":                   {"ip", forward, "@th,160,8 5 drop", "all", "contains"},
		"window":                    {"ip", forward, "tcp window < 100 drop", "tcp 80", "contains"},
		"options":                   {"ip", forward, "tcp option timestamp exists drop", "tcp 80", "TCP options"},
		"a random number":           {"ip", forward, "meta random & 1 == 0 drop", "all", "random"},
		"numbers":                   {"ip", forward, "numgen inc mod 2 == 0 drop", "all", "numgen"},
		"the time":                  {"ip", forward, `meta hour "10:00"-"11:00" drop`, "all", "time"},
		"the processor":             {"ip", forward, "meta cpu 0 drop", "all", "processor"},
		"bytes of the connection":   {"ip", forward, "ct bytes > 1000000 drop", "all", "transferred"},
		"when it expires":           {"ip", forward, "ct expiration < 10s drop", "all", "expires"},
		"marks":                     {"ip", raw, "meta mark set 7\nct mark set meta mark\nmeta mark 7 accept", "", ""},
		"marks of some":             {"ip", raw, "ip length < 100 meta mark set 7", "all", "length"},
		"marks that are numbers":    {"ip", raw, "meta mark set numgen inc mod 2", "all", "numgen"},
		"marks that are hashes":     {"ip", raw, "meta mark set jhash ip saddr mod 2", "", ""},
		"priority":                  {"ip", raw, "meta priority set 1:2", "", ""},
		"tracing":                   {"ip", raw, "meta nftrace set 1", "all", "traces"},
		"sets that are written":     {"ip", raw, "update @s { ip saddr }", "all", "dynset"},
		"sets that are read":        {"ip", raw, "ip saddr @s drop", "", ""},
		"meters":                    {"ip", raw, "meter m { ip saddr limit rate 1/second } drop", "all", "dynset"},
		"a set of lengths":          {"ip", raw, "ip length { 100, 200 } drop", "all", "length"},
		"lengths that none has":     {"ip", raw, "ip length { 5, 7-19 } drop", "", ""},
		"a set of two":              {"ip", raw, "ip saddr . ip id { 192.0.2.1 . 5 } drop", "all", "ID"},
		"a set of ECN":              {"ip", raw, "ip saddr . ip ecn { 192.0.2.1 . ce } drop", "all", "ECN"},
		"marks of what it contains": {"ip", raw, "meta mark set @th,64,32", "all", "contains"},
		"a quota":                   {"ip", raw, "quota name q drop", "all", "stateful object"},
		"a quota of its own":        {"ip", raw, "quota over 1 mbytes drop", "all", "quota"},
		"duplicates":                {"ip", raw, "dup to 192.0.2.9", "all", "dup"},
		"notrack":                   {"ip", raw, "ip daddr 192.0.2.0/24 notrack", "", ""},
		"set dscp":                  {"ip", forward, "ip dscp set cs1", "all", "changes"},
		"the MSS":                   {"ip", forward, "tcp flags syn / syn,rst tcp option maxseg size set 1000", "", ""},
		"a way":                     {"ip", forward, "ip daddr 203.0.113.0/24 jump d", "tcp 80", "has log"},
		"ways by a map":             {"ip", forward, "tcp dport vmap { 80 : jump d }", "tcp 80", "has log"},
		"ways by length":            {"ip", forward, "ip length vmap { 80 : jump d }", "tcp 80", "length"},
		"translation":               {"ip", "type nat hook postrouting priority srcnat;", "log masquerade", "", ""},
		"late":                      {"ip", "type filter hook postrouting priority 0;", "ip saddr 198.51.100.1 log", "all", "has log"},
		"input":                     {"ip", "type filter hook input priority 0;", "log", "", ""},
		"a device's":                {"netdev", `type filter hook ingress device "br-red" priority 0;`, "ip protocol udp log", "udp 53", "has log"},
		"another device's":          {"netdev", `type filter hook ingress device "br-blue" priority 0;`, "log", "", ""},
		"a bridge's":                {"bridge", "type filter hook prerouting priority 0;", `ether type ip log`, "all", "has log"},
		"a bridge's, of other":      {"bridge", "type filter hook forward priority 0;", "ether type arp log", "", ""},
		"a bridge's of others":      {"bridge", "type filter hook prerouting priority 0;", `iifname "tap-blue-0" log`, "", ""},
		"a default that drops":      {"ip", forward + " policy drop;", "ip ttl > 1 accept", "all", ""},
		"a map of what is allowed":  {"inet", forward, "ct state vmap { established : accept, related : accept, invalid : drop }\nlog", "", ""},
		"a map of states":           {"inet", forward, "ct state vmap { invalid : drop, new : accept }\nlog", "every", "log"},
		"a set of states":           {"ip", forward, "ct state { established, related } accept\nlog", "", ""},
		"not in a set of states":    {"ip", forward, "ct state != { new, untracked } accept\nlog", "", ""},
		"a set of ports":            {"ip", forward, "tcp dport { 22, 80-90 } accept\ntcp sport { 22, 80-90 } accept\nlog", "udp 53, echo", "log"},
		"a set of other ports":      {"ip", forward, "tcp dport { 22, 81-90 } log", "", ""},
		"ways by another's port":    {"ip", forward, "tcp dport vmap { 22 : jump d, 81-90 : drop }", "", ""},
		"ways by ranges":            {"ip", forward, "tcp dport vmap { 1-79 : accept, 80 : jump d, 81-90 : drop }", "tcp 80", "has log"},
		"the rest of a map":         {"ip", forward, "tcp dport vmap { 22 : accept, * : jump d }", "tcp 80", "has log"},
		"a set of addresses":        {"ip", forward, "ip daddr { 203.0.113.0-203.0.113.9, 192.0.2.1 } log", "all", "log"},
		"a set of other addresses":  {"ip", forward, "ip daddr { 203.0.113.10-203.0.113.19, 192.0.2.1 } ip saddr 192.168.0.10 log", "", ""},
		"a set that limits":         {"ip", forward, "ct state new add @s { ip saddr limit rate 1/second }\nip saddr @s drop", "all", "limit"},
		"a default that agrees":     {"ip", forward + " policy accept;", "ip ttl > 1 accept", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ns := space(t)
			script := "ip link add br-red type bridge; ip link add br-blue type bridge\nnft -f - <<'END'\ntable " + c.family + " test {\n"
			if c.family == "ip" {
				script += "set s { type ipv4_addr; flags dynamic; size 100; }\nquota q { 1 mbytes }\ncounter n { }\n"
			}
			if strings.Contains(c.rules, "jump d") {
				script += "chain d { tcp dport 80 log; }\n"
			}
			run(t, ns, script+"chain c { "+c.hook+"\n"+c.rules+"\n}\n}\nEND\n")
			check(t, approval.New(inputs(t, ns)), c.slow, c.what)
		})
	}
}
