// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// testHost has blue, red, and green, which has red's addresses.
func testHost() *scope.Host {
	prefixes := func(texts ...string) (list []netip.Prefix) {
		for _, text := range texts {
			list = append(list, netip.MustParsePrefix(text))
		}
		return list
	}
	return &scope.Host{
		Tenants: []scope.Tenant{
			{
				ID: "blue", Prefixes: prefixes("192.168.1.0/24", "2001:db8:a:1::/64"),
				Devices: []scope.Device{{Name: "br-blue"}}, Ports: []scope.Port{{Name: "tap-blue1"}},
			},
			{ID: "green", Prefixes: prefixes("192.168.0.0/24"), Devices: []scope.Device{{Name: "br-green"}}},
			{
				ID: "red", Prefixes: prefixes("192.168.0.0/24", "2001:db8:a::/64"),
				Devices: []scope.Device{{Name: "br-red", Addrs: []netip.Addr{netip.MustParseAddr("192.168.0.1")}}},
				Ports:   []scope.Port{{Name: "tap-red1"}, {Name: "tap-red2"}},
			},
			{ID: "white", Problem: "The bridge br-white also has a port of blue's, so white cannot have a firewall."},
		},
		Uplinks: []string{"ens3"},
		Local:   []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("192.168.0.1")},
	}
}

func chainsWith(t *testing.T, family header.Family, names ...string) *iptables.Chains {
	t.Helper()
	chains := iptables.NewChains(family)
	for _, name := range names {
		chains.List = append(chains.List, &iptables.Chain{Name: name})
	}
	return chains
}

func decide(t *testing.T, line string, asker Asker) Decision {
	t.Helper()
	cmd, err := iptables.ParseLine(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return Decide(testHost(), "red", chainsWith(t, cmd.Family, "web"), cmd, asker)
}

// What is confined, and what the answer says that it means.
func TestConfined(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		"iptables -A FORWARD -p icmp -j DROP":                                                    "the end of red's own FORWARD, which only packets from and to br-red pass",
		"iptables -I FORWARD 1 -s 192.168.0.10 -p tcp --dport 22 -j DROP":                        "place 1 of red's own FORWARD",
		"iptables -I FORWARD -j ACCEPT":                                                          "place 1 of red's own FORWARD",
		"iptables -P FORWARD DROP":                                                               "the default of red's own FORWARD, which only packets from and to br-red pass: DROP",
		"iptables -F":                                                                            "the flush of all of red's own chains",
		"iptables -F FORWARD":                                                                    "the flush of red's own FORWARD",
		"iptables -X":                                                                            "all of red's own chains",
		"iptables -N dns":                                                                        "a new chain of red's own",
		"iptables -N DOCKER":                                                                     "a new chain of red's own",
		"iptables -A web -j RETURN":                                                              "red's own chain web",
		"iptables -A FORWARD -j web":                                                             "red's own FORWARD",
		"iptables -A FORWARD -g web":                                                             "red's own FORWARD",
		"iptables -t filter -D FORWARD 2":                                                        "rule 2 of red's own FORWARD",
		"iptables -R FORWARD 2 -j DROP":                                                          "rule 2 of red's own FORWARD",
		"iptables -L":                                                                            "all of red's own chains",
		"iptables -S web":                                                                        "red's own chain web",
		"iptables -A FORWARD -o ens3 -j DROP":                                                    "red's own FORWARD",
		"iptables -A FORWARD -i ens3 -p tcp --syn -j DROP":                                       "red's own FORWARD",
		"iptables -A FORWARD -i br-red -o br-blue -j DROP":                                       "red's own FORWARD",
		"iptables -A FORWARD -i br-blue -o br-red -j DROP":                                       "red's own FORWARD",
		"iptables -A FORWARD -i br-blue -d 192.168.0.0/24 -j DROP":                               "red's own FORWARD",
		"iptables -A FORWARD -i tap+ -j DROP":                                                    "red's own FORWARD",
		"iptables -A FORWARD ! -i br-blue -j DROP":                                               "red's own FORWARD",
		"iptables -A FORWARD ! -i br-red -j DROP":                                                "red's own FORWARD",
		"iptables -A FORWARD -s 192.168.1.0/24 -d 192.168.0.0/24 -j DROP":                        "red's own FORWARD",
		"iptables -A FORWARD -s 192.168.0.4 -d 192.168.1.9 -j DROP":                              "red's own FORWARD",
		"iptables -A FORWARD -s 192.168.0.0/16 -j DROP":                                          "red's own FORWARD",
		"iptables -A FORWARD ! -s 192.168.1.0/24 -j DROP":                                        "red's own FORWARD",
		"iptables -A FORWARD -d 8.8.8.8 -j DROP":                                                 "red's own FORWARD",
		"iptables -A FORWARD -i br-red -s 192.168.1.7 -j DROP":                                   "red's own FORWARD",
		"iptables -A FORWARD -j REJECT --reject-with tcp-reset -p tcp":                           "red's own FORWARD",
		"iptables -A FORWARD -m limit --limit 5/min -j LOG --log-prefix drop":                    "red's own FORWARD",
		"iptables -A FORWARD -m limit --limit 10/second -j NFLOG":                                "red's own FORWARD",
		"iptables -A FORWARD -m recent --name red:ssh --set":                                     "red's own FORWARD",
		"iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT":               "red's own FORWARD",
		"iptables -A FORWARD -m set --match-set red:x src ! --update-counters":                   "red's own FORWARD",
		"iptables -A FORWARD -m hashlimit --hashlimit-name red:x --hashlimit-upto 1/s":           "red's own FORWARD",
		"iptables -A FORWARD -m limit --limit 600/min --limit-burst 100 -j LOG --log-level info": "red's own FORWARD",
		"ip6tables -A FORWARD -s 2001:db8:a::/64 -p icmpv6 -j DROP":                              "red's own FORWARD",
	} {
		d := decide(t, line, Asker{})
		if d.Verdict != Confined || !strings.Contains(d.Reason, says) || d.Witness != "" {
			t.Errorf("%s: %+v, want it to be confined and to say %q", line, d, says)
		}
	}
}

// What is refused, with what reason, and a packet of whom.
func TestRefused(t *testing.T) {
	t.Parallel()
	const another, nobody, host = AnotherTenant, NobodyKnown, TheHost
	for line, want := range map[string]struct{ says, witness, whose string }{
		"iptables -t nat -A POSTROUTING -j MASQUERADE":                                                   {"table nat", "icmp 192.168.0.1 > 203.0.113.8 out another", another},
		"iptables -t nat -A POSTROUTING -s 192.168.0.0/24 -o ens3 -j MASQUERADE":                         {"table nat", "icmp 192.168.0.1 > 203.0.113.8 out ens3", host},
		"iptables -t nat -A PREROUTING -i br-red -p tcp --dport 80 -j DNAT --to-destination 192.168.0.9": {"table nat", "tcp 192.168.0.1:40000 > 192.168.0.1:80 syn in br-red", host},
		"iptables -t mangle -A FORWARD -i br-red -j MARK --set-mark 1":                                   {"table mangle", "icmp 192.168.0.1 > 203.0.113.8 in br-red out another", another},
		"iptables -t mangle -F":                                                 {"table mangle", "icmp 198.51.100.7 > 203.0.113.8 in another out ens3", another},
		"iptables -t raw -A PREROUTING -j NOTRACK":                              {"table raw", "in another", another},
		"iptables -t raw -P PREROUTING DROP":                                    {"table raw", "in another", another},
		"iptables -A INPUT -j DROP":                                             {"packets of the host itself", "in another", another},
		"iptables -A INPUT -i br-red -p tcp --dport 22 -j DROP":                 {"packets of the host itself", "tcp 192.168.0.1:40000 > 192.168.0.1:22 syn in br-red", host},
		"iptables -I OUTPUT -p udp --dport 53 -j DROP":                          {"packets of the host itself", "udp 192.168.0.1:40000 > 203.0.113.8:53", another},
		"iptables -P INPUT DROP":                                                {"INPUT is for packets of the host itself", "in another", another},
		"iptables -F OUTPUT":                                                    {"OUTPUT is for packets of the host itself", "192.168.0.1 > 203.0.113.8", another},
		"iptables -A FORWARD -i br-blue -j DROP":                                {"add -o br-red", "in br-blue out ens3", another},
		"iptables -A FORWARD -i tap-blue1 -j DROP":                              {"add -o br-red", "in tap-blue1 out ens3", another},
		"iptables -A FORWARD -o br-blue -j DROP":                                {"add -i br-red", "out br-blue", another},
		"iptables -A FORWARD -i br-blue -o br-green -j DROP":                    {"another's device br-blue", "in br-blue out br-green", another},
		"iptables -A FORWARD -s 192.168.1.0/24 -j DROP":                         {"addresses that are another's", "icmp 192.168.1.1 > 203.0.113.8 in another out ens3", another},
		"iptables -A FORWARD -d 192.168.1.9 -p tcp --dport 80":                  {"addresses that are another's", "tcp 198.51.100.7:40000 > 192.168.1.9:80 syn", another},
		"iptables -A FORWARD -j DOCKER":                                         {"DOCKER is not a chain of red's", "icmp 198.51.100.7 > 203.0.113.8 in another out ens3", another},
		"iptables -X DOCKER":                                                    {"DOCKER is not a chain of red's", "in another out ens3", another},
		"iptables -A DOCKER -j DROP":                                            {"DOCKER is not a chain of red's", "in another out ens3", another},
		"iptables -A FORWARD -j dwell-blue":                                     {"dwell-blue is not a chain of red's", "in another out ens3", another},
		"iptables -A FORWARD -j MARK --set-xmark 0x1/0x1":                       {"MARK changes packets", "in another out ens3", another},
		"iptables -A FORWARD -j CONNMARK --save-mark":                           {"CONNMARK changes packets", "in another out ens3", another},
		"iptables -A FORWARD -j NFQUEUE --queue-num 0":                          {"NFQUEUE hands packets", "in another out ens3", another},
		"iptables -A FORWARD -j TEE --gateway 192.168.0.9":                      {"TEE hands packets", "in another out ens3", another},
		"iptables -A FORWARD -j LOG":                                            {"-m limit", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit 100/second -j LOG":                {"at most 10/second", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit 1/s -j LOG --log-level emerg":     {"alarms", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit-burst 1000 -j LOG":                {"--limit-burst of 1000", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit -4294967000/s -j LOG":             {"at most 10/second", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit 1/s --limit-burst 0x2710 -j LOG":  {"--limit-burst of 0x2710", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit 1/s -j LOG --log-level 0x2":       {"alarms", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit 1/s -j LOG --log-level 02":        {"alarms", "in another out ens3", another},
		"iptables -A FORWARD -m limit --limit 1/s -j LOG --log-level +2":        {"alarms", "in another out ens3", another},
		"iptables -A FORWARD -m physdev --physdev-is-bridged -j DROP":           {"all bridges", "in another out ens3", another},
		"iptables -A FORWARD -m set --match-set blue:x src ! --update-counters": {"--match-set red:NAME", "in another out ens3", another},
		"iptables -A FORWARD -m hashlimit --hashlimit-name red:x --hashlimit-upto 1/s --hashlimit-htable-size 1048576":  {"memory", "in another out ens3", another},
		"iptables -A FORWARD -m hashlimit --hashlimit-name red:x --hashlimit-upto 1/s --hashlimit-htable-max 0x7ffffff": {"memory", "in another out ens3", another},
		"iptables -A FORWARD -m hashlimit --hashlimit-name red:x --hashlimit-upto 1/s --hashlimit-htable-gcinterval 1":  {"memory", "in another out ens3", another},
		"iptables -A FORWARD -m bpf --object-pinned /sys/fs/bpf/x -j DROP":                                              {"a program of the host's", "in another out ens3", another},
		"iptables -A FORWARD -m nfacct --nfacct-name x":                                                                 {"the match nfacct changes", "in another out ens3", another},
		"iptables -A FORWARD -m nosuch --what 1 -j DROP":                                                                {"does not understand all of it", "in another out ens3", another},
		"iptables -A FORWARD -m connbytes --connbytes 1 --connbytes-dir both --connbytes-mode packets":                  {"all connections of the host", "in another out ens3", another},
		"iptables -A FORWARD -m connlabel --label x --set":                                                              {"the label of connections", "in another out ens3", another},
		"iptables -A FORWARD -j IDLETIMER --timeout 5 --label x":                                                        {"the target IDLETIMER", "in another out ens3", another},
		"iptables -A FORWARD -m recent --name ssh --set":                                                                {"--name red:NAME", "in another out ens3", another},
		"iptables -A FORWARD -m set --match-set red:x src -j DROP":                                                      {"update-counters", "in another out ens3", another},
		"ip6tables -A FORWARD -s 2001:db8:a:1::/64 -j DROP":                                                             {"addresses that are another's", "icmpv6 2001:db8:a:1::1 > 2001:db8:2::8 in another out ens3", another},
		"iptables -E web INPUT": {"name INPUT", "", ""},
		"iptables -t nat -L":    {"table nat", "", ""},
		"iptables -L INPUT":     {"INPUT", "", ""},
		"iptables -S DOCKER":    {"DOCKER", "", ""},
	} {
		d := decide(t, line, Asker{})
		if d.Verdict != Refused || !strings.Contains(d.Reason, want.says) || !strings.Contains(d.Witness, want.witness) ||
			d.Whose != want.whose || (d.Witness == "") != (want.witness == "") {
			t.Errorf("%s:\n got %+v,\nwant it to be refused: %+v", line, d, want)
		}
		if strings.Count(d.Reason, ". ") != 0 || !strings.HasSuffix(d.Reason, ".") {
			t.Errorf("%s: %q is not one sentence", line, d.Reason)
		}
		if d.Witness == "" {
			continue
		}
		if _, err := header.ParseProbe(d.Witness); err != nil {
			t.Errorf("%s: the witness: %v", line, err)
		}
	}
}

// A tenant that is refused learns no name, device or address of others that it did not write.
func TestRefusalsTellNothingOfOthers(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"iptables -t nat -A POSTROUTING -j MASQUERADE", "iptables -A INPUT -j DROP", "iptables -F OUTPUT",
		"iptables -A FORWARD -j MARK --set-xmark 0x1/0x1", "iptables -A FORWARD -s 192.168.1.0/24 -j DROP",
		"iptables -t mangle -A FORWARD -d 192.168.0.0/16 -j DROP", "iptables -X DOCKER", "iptables -A FORWARD -i br-blu+ -j DROP",
	} {
		d := decide(t, line, Asker{})
		text := d.Reason + " " + d.Witness + " " + d.Whose
		for _, secret := range []string{"blue", "green", "203.0.113.1 ", "192.168.1."} {
			if strings.Contains(text, secret) && !strings.Contains(line, secret) && !strings.Contains(line, "192.168.0.0/16") && !strings.Contains(line, "br-blu") {
				t.Errorf("%s tells %q: %s", line, secret, text)
			}
		}
		if d.Verdict != Refused || strings.Contains(text, "br-blue") {
			t.Errorf("%s: %+v", line, d)
		}
	}
}

// The operator is told who it is, and may have it all the same.
func TestOperator(t *testing.T) {
	t.Parallel()
	const line = "iptables -t nat -A POSTROUTING -j MASQUERADE"
	d := decide(t, line, Asker{Operator: true})
	if d.Verdict != Refused || d.Whose != "blue" || d.Witness != "icmp 203.0.113.1 > 192.168.1.1 out br-blue" ||
		!strings.HasSuffix(d.Reason, "With --affect-others it is put into the host's iptables as it is.") {
		t.Errorf("%+v", d)
	}
	d = decide(t, line, Asker{Operator: true, AffectOthers: true})
	if d.Verdict != AsIs || d.Witness == "" {
		t.Errorf("with AffectOthers: %+v", d)
	}
	if d := decide(t, line, Asker{AffectOthers: true}); d.Verdict != Refused || strings.Contains(d.Reason, "affect-others") {
		t.Errorf("from a tenant with AffectOthers: %+v", d)
	}
	if d := decide(t, "iptables -F", Asker{Operator: true, AffectOthers: true}); d.Verdict != Confined {
		t.Errorf("what can be confined: %+v", d)
	}
}

func TestNoFirewall(t *testing.T) {
	t.Parallel()
	cmd, err := iptables.ParseLine("iptables -A FORWARD -j DROP")
	if err != nil {
		t.Fatal(err)
	}
	for id, says := range map[string]string{"white": "br-white", "black": "no tenant black"} {
		d := Decide(testHost(), id, iptables.NewChains(header.V4), cmd, Asker{Operator: true})
		if d.Verdict != Refused || !strings.Contains(d.Reason, says) {
			t.Errorf("%s: %+v", id, d)
		}
	}
}

func TestSave(t *testing.T) {
	t.Parallel()
	read := func(text string) *iptables.Save {
		save, err := iptables.ParseSave(header.V4, text)
		if err != nil {
			t.Fatal(err)
		}
		return save
	}
	good := read(`*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:later - [0:0]
-A FORWARD -j later
-A later -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
`)
	if refused := DecideSave(testHost(), "red", good, Asker{}); len(refused) != 0 {
		t.Errorf("refused: %+v", refused)
	}
	bad := read(`*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o ens3 -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -p tcp -m tcp --dport 23 -j DROP
COMMIT
`)
	refused := DecideSave(testHost(), "red", bad, Asker{})
	var commands []string
	for _, d := range refused {
		if d.Witness == "" || d.Verdict != Refused {
			t.Errorf("%+v has no witness", d)
		}
		commands = append(commands, d.Command)
	}
	if got := strings.Join(commands, "; "); got != "*nat :POSTROUTING; *filter :INPUT; -A FORWARD -j DOCKER-USER" {
		t.Errorf("refused %s", got)
	}
}

// A file of 10,000 rules on a host of 200 tenants is decided in a moment.
func BenchmarkDecideSave(b *testing.B) {
	host := testHost()
	for i := range 200 {
		host.Tenants = append(host.Tenants, scope.Tenant{
			ID: fmt.Sprint("t", i), Prefixes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 24)},
			Devices: []scope.Device{{Name: fmt.Sprint("br", i)}},
		})
	}
	var text strings.Builder
	text.WriteString("*filter\n:FORWARD ACCEPT [0:0]\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "-A FORWARD -s 198.18.%d.%d/32 -p tcp -m tcp --dport 22 -j DROP\n", i>>8, i&0xff)
	}
	text.WriteString("COMMIT\n")
	save, err := iptables.ParseSave(header.V4, text.String())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if refused := DecideSave(host, "red", save, Asker{}); len(refused) != 0 {
			b.Fatal(refused[0])
		}
	}
}
