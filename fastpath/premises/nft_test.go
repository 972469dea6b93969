// SPDX-License-Identifier: Apache-2.0

package premises_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/host"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// What rules of nft allow.
func TestNFT(t *testing.T) {
	const nat, raw, early = "type nat hook prerouting priority dstnat;", "type filter hook prerouting priority raw;", "type filter hook forward priority -1;"
	for name, c := range map[string]struct {
		family, hook, rules string
		want                want
	}{
		"dnat": {
			"ip", nat, "ip daddr 203.0.113.0/25 dnat to 192.0.2.9",
			want{deferred: []string{"203.0.113.8 tcp 80"}, free: []string{"203.0.113.200 tcp 80"}},
		},
		"dnat for both families": {
			"inet", nat, "ip daddr 203.0.113.8 dnat ip to 192.0.2.9",
			want{deferred: []string{"203.0.113.8 tcp 80"}, free: []string{"203.0.113.9 tcp 80"}},
		},
		"dnat for the other family": {"inet", nat, "ip6 daddr 2001:db8::/32 dnat ip6 to 2001:db8::9", want{}},
		"dnat by a map": {
			"ip", nat, "ip daddr 203.0.113.0/24 tcp dport 80 dnat to ip daddr map { 203.0.113.8 : 192.0.2.9 }",
			want{deferred: []string{"203.0.113.8 tcp 80", "203.0.113.9 tcp 80"}, free: []string{"203.0.113.9 tcp 81"}},
		},
		"dnat of local addresses": {
			"ip", nat, "fib daddr type local udp dport 53 redirect", want{deferred: []string{"192.0.2.1 udp 53"}, free: []string{"203.0.113.8 udp 53"}},
		},
		"ports of any protocol": {"ip", nat, "th dport 80 ip daddr 203.0.113.8 dnat to 192.0.2.9", want{
			deferred: []string{"203.0.113.8 icmp", "203.0.113.8 tcp 81"}, free: []string{"203.0.113.9 tcp 80"},
		}},
		"a range of ports": {
			"ip", nat, "tcp dport 80-90 dnat to 192.0.2.9", want{deferred: []string{"203.0.113.8 tcp 85"}, free: []string{"203.0.113.8 tcp 91"}},
		},
		"devices": {"ip", nat, `iifname { "br-red" } ip daddr 203.0.113.8 dnat to 192.0.2.9`, want{deferred: []string{"203.0.113.8 icmp"}}},
		"others":  {"ip", nat, `iifname "br-blue" dnat to 192.0.2.9`, want{}},
		"a pattern": {
			"ip", nat, `iifname "br-*" ip daddr 203.0.113.8 dnat to 192.0.2.9`, want{deferred: []string{"203.0.113.8 icmp"}},
		},
		"another pattern": {"ip", nat, `iifname "eth*" dnat to 192.0.2.9`, want{}},
		"snat": {
			"ip", "type nat hook postrouting priority srcnat;", "snat to 198.51.100.1-198.51.100.3",
			want{deferred: []string{"198.51.100.2 icmp"}, free: []string{"198.51.100.4 icmp"}},
		},
		"snat by a map": {
			"ip", "type nat hook postrouting priority srcnat;", "snat to ip saddr map { 192.168.0.10 : 198.51.100.1 }",
			want{deferred: []string{"203.0.113.8 icmp"}, noTag: "translates sources to addresses that are not known"},
		},
		"masquerade": {
			"ip", "type nat hook postrouting priority srcnat;", `oifname "ens3" masquerade`,
			want{deferred: []string{"192.0.2.1 icmp"}, free: []string{"203.0.113.8 icmp"}},
		},
		"translation without connections": {
			"ip", raw, "ip daddr 203.0.113.8 ip daddr set 192.0.2.9", want{deferred: []string{"203.0.113.8 icmp"}, free: []string{"203.0.113.9 icmp"}},
		},
		"log":                       {"ip", raw, "log", want{noDrop: "rule 1 of chain c in nft's table ip test has log"}},
		"log before the condition":  {"ip", raw, `log iifname "br-blue" drop`, want{noDrop: "has log"}},
		"log after the condition":   {"ip", raw, `iifname "br-blue" log drop`, want{}},
		"log in forward":            {"ip", early, "log", want{noDrop: "has log"}},
		"log late in forward":       {"ip", "type filter hook forward priority 1;", "log", want{}},
		"a limit":                   {"ip", raw, "limit rate 1/second drop", want{noDrop: "has limit"}},
		"reject":                    {"ip", early, "ip daddr 203.0.113.8 reject", want{deferred: []string{"203.0.113.8 icmp"}, free: []string{"203.0.113.9 icmp"}}},
		"a set that is written":     {"ip", raw, "update @s { ip saddr }", want{noDrop: "has dynset"}},
		"a counter with a name":     {"ip", raw, "counter name n", want{}},
		"a quota with a name":       {"ip", raw, "quota name q", want{noDrop: "stateful object"}},
		"duplicates":                {"ip", raw, "dup to 192.0.2.9", want{noDrop: "has dup"}},
		"notrack":                   {"ip", raw, "notrack", want{noDrop: "has notrack"}},
		"tos":                       {"ip", raw, "ip dscp set cs1", want{deferred: []string{"203.0.113.8 icmp"}, noTag: "changes packets"}},
		"the MSS":                   {"ip", early, "tcp flags syn tcp option maxseg size set 1000", want{deferred: []string{"203.0.113.8 tcp 80"}, free: []string{"203.0.113.8 icmp"}}},
		"traced":                    {"ip", raw, "meta nftrace set 1", want{noDrop: "meta", deferred: []string{"203.0.113.8 icmp"}, noTag: "meta"}},
		"state":                     {"ip", "type filter hook input priority 0;", "ct state established accept", want{icmpState: "looks at the state"}},
		"a zone":                    {"ip", raw, `iifname "br-red" ct zone set 9`, want{zones: []uint16{9}}},
		"a zone of others":          {"ip", raw, `iifname "br-blue" ct zone set 9`, want{}},
		"a zone that is not known":  {"ip", raw, "ct zone set ip saddr map { 192.0.2.1 : 7 }", want{noDrop: "zone of connection tracking that is not known"}},
		"a mark":                    {"ip", raw, "meta mark set 0x80000001", want{freeBit: 1 << 30}},
		"bits of a mark":            {"ip", raw, "meta mark set meta mark & 0xffffff00 | 1", want{freeBit: 1 << 31}},
		"a mark from elsewhere":     {"ip", raw, "meta mark set ip saddr map { 192.0.2.1 : 7 }", want{freeBit: 0}},
		"a mark that is compared":   {"ip", raw, "meta mark & 0xff000000 == 0x1000000 drop", want{freeBit: 1 << 23}},
		"a way":                     {"ip", nat, "ip daddr 203.0.113.0/24 jump d", want{deferred: []string{"203.0.113.8 tcp 80"}, free: []string{"203.0.113.8 tcp 81", "203.0.114.8 tcp 80"}}},
		"ways by a map":             {"ip", nat, "ip daddr 203.0.113.0/24 tcp dport vmap { 80 : jump d }", want{deferred: []string{"203.0.113.8 tcp 80"}, free: []string{"203.0.114.8 tcp 80"}}},
		"a device's":                {"netdev", `type filter hook ingress device "br-red" priority 0;`, "log", want{noDrop: "has log"}},
		"another device's":          {"netdev", `type filter hook ingress device "br-blue" priority 0;`, "log", want{}},
		"a bridge's":                {"bridge", "type filter hook prerouting priority 0;", `iifname "tap-red-0" log`, want{noDrop: "has log"}},
		"a bridge's of others":      {"bridge", "type filter hook prerouting priority 0;", `iifname "tap-blue-0" log`, want{}},
		"what is forwarded anyway":  {"bridge", "type filter hook postrouting priority 0;", "log", want{}},
		"numbers":                   {"ip", raw, "meta mark set numgen inc mod 2", want{noDrop: "numgen"}},
		"the protocol by its field": {"ip", nat, "ip protocol udp dnat to 192.0.2.9", want{deferred: []string{"203.0.113.8 udp 1"}, free: []string{"203.0.113.8 tcp 1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			ns := space(t)
			script := "ip link add br-red type bridge; ip link add br-blue type bridge\nnft -f - <<'END'\ntable " + c.family + " test {\n"
			if c.family == "ip" {
				script += "set s { type ipv4_addr; flags dynamic; size 100; }\nquota q { 1 mbytes }\ncounter n { }\n"
			}
			if strings.Contains(c.rules, "jump d") {
				script += "chain d { tcp dport 80 dnat to 192.0.2.9; }\n"
			}
			run(t, ns, script+"chain c { "+c.hook+"\n"+c.rules+"\n}\n}\nEND\n")
			c.want.check(t, ns, header.V4)
		})
	}
}

// An IPv6 address is four words.
func TestNFT6(t *testing.T) {
	ns := space(t)
	run(t, ns, `nft 'table inet t { chain c { type nat hook prerouting priority 0; ip6 daddr 2001:db8:1::/48 dnat ip6 to 2001:db8::9; }
		chain d { type nat hook postrouting priority 0; snat ip6 to 2001:db8:2::7; }; }'`)
	(&want{
		deferred: []string{"2001:db8:1::5 tcp 80", "2001:db8:2::7 icmpv6"}, free: []string{"2001:db8:3::5 tcp 80", "2001:db8:2::8 icmpv6"},
	}).check(t, ns, header.V6)
	(&want{}).check(t, ns, header.V4)
}

// Marks that routing asks for.
func TestRouting(t *testing.T) {
	ns := space(t)
	run(t, ns, `ip rule add fwmark 1/0xff table 101
		ip rule add fwmark 2/0xff table 102
		ip rule add fwmark 0x100/0xf00 table 103
		ip -6 rule add fwmark 7 table 104`)
	(&want{marks: []uint32{1, 2, 0x100, 0x101, 0x102}, freeBit: 1 << 31}).check(t, ns, header.V4)
	(&want{marks: []uint32{7}}).check(t, ns, header.V6)
}

// Packets that routing drops or answers, of which programs cannot ask.
func TestFate(t *testing.T) {
	ns := space(t)
	run(t, ns, `ip link add br-red index 5 type bridge; ip link add ens3 type bridge; ip link set br-red up; ip link set ens3 up
		ip route add 192.168.0.0/16 dev br-red; ip route add 192.168.7.0/24 dev ens3; ip route add 192.168.7.9 dev br-red
		ip route add default dev ens3; ip route add 203.0.113.0/24 dev ens3 mtu 1300 table 7
		ip route add 203.0.114.0/24 dev ens3 mtu 1400; ip -6 route add 2001:db8:5::/48 dev ens3 mtu 1290`)
	deferred := func(family header.Family, change func(*header.Packet)) bool {
		t.Helper()
		f, err := premises.Read(t.Context(), ns)
		if err != nil {
			t.Fatal(err)
		}
		text := "203.0.113.8 icmp"
		if family == header.V6 {
			text = "2001:db8::8 icmpv6"
		}
		p := packet(t, text)
		change(p)
		got := f.For(family, red(), local())
		return got.NoTag != "" || slices.ContainsFunc(got.Defer, func(b header.Box) bool { return b.Has(p) })
	}
	length := func(n uint32) func(*header.Packet) { return func(p *header.Packet) { p.Words[header.Length] = n } }
	src := func(a string) func(*header.Packet) {
		return func(p *header.Packet) { p.SetAddress(header.Src0, netip.MustParseAddr(a)) }
	}
	check := func(what string, want, got bool) {
		t.Helper()
		if want != got {
			t.Errorf("%s: deferred: %v", what, got)
		}
	}
	check("as long as the MTU", false, deferred(header.V4, length(1300)))
	check("longer than the MTU", true, deferred(header.V4, length(1301)))
	check("as long as the MTU of IPv6", false, deferred(header.V6, length(1290)))
	check("longer than the MTU of IPv6", true, deferred(header.V6, length(1291)))
	check("from the host's address", true, deferred(header.V4, src("192.0.2.1")))
	check("from the host's address of IPv6", false, deferred(header.V6, src("2001:db8::1")))
	check("from 127.0.0.1", true, deferred(header.V4, src("127.0.0.1")))
	check("from a group", true, deferred(header.V4, src("224.0.0.1")))
	check("from elsewhere", false, deferred(header.V4, src("198.51.100.1")))
	for a, want := range map[string]bool{"::": true, "::1": true, "::2": false, "ff02::1": true, "fe80::1": true, "2001:db8:7::1": false} {
		check("from "+a, want, deferred(header.V6, src(a)))
	}
	check("to nobody", true, deferred(header.V4, func(p *header.Packet) { p.SetAddress(header.Dst0, netip.MustParseAddr("0.0.0.1")) }))
	check("to a neighbour", true, deferred(header.V6, func(p *header.Packet) { p.SetAddress(header.Dst0, netip.MustParseAddr("fe80::2")) }))
	run(t, ns, "echo 2 >/proc/sys/net/ipv4/conf/br-red/rp_filter")
	check("from elsewhere, loosely", false, deferred(header.V4, src("198.51.100.1")))
	run(t, ns, "echo 1 >/proc/sys/net/ipv4/conf/br-red/rp_filter")
	check("from elsewhere, strictly", true, deferred(header.V4, src("198.51.100.1")))
	check("from where it should be", false, deferred(header.V4, src("192.168.0.10")))
	check("from elsewhere within", true, deferred(header.V4, src("192.168.7.8")))
	check("from where it should be within", false, deferred(header.V4, src("192.168.7.9")))
	run(t, ns, "ip route del default; ip rule add from 10.0.0.0/8 table 7")
	check("with rules of routing", true, deferred(header.V4, src("192.168.0.10")))
	run(t, ns, "ip rule del from 10.0.0.0/8; ip route del 192.168.0.0/16; ip route del 192.168.7.9")
	check("without a way back", true, deferred(header.V4, src("192.168.0.10")))
}

// The lab's translation and zones leave TC what it may decide.
func TestLab(t *testing.T) {
	l, err := lab.Up(t.Context(), "tenants", lab.Options{Prefix: fmt.Sprintf("dwp%d", os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ns, err := l.Open(lab.Hypervisor)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	set, err := tenant.NewSet([]tenant.Tenant{{ID: "red", Bridges: []string{"br-red"}}}, nil, []string{"ens3"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.Read(ns, set)
	if err != nil {
		t.Fatal(err)
	}
	f, err := premises.Read(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Forwarding4 || !f.Forwarding6 || f.FreeBit != 1<<31 {
		t.Errorf("host: %+v", f)
	}
	got := f.For(header.V4, h.Get("red"), h.Local)
	if got.NoDrop != "" || got.NoTag != "" || got.ICMPState != "" {
		t.Errorf("TC may not decide: %+v", got)
	}
	if want := "[0 1 2 4] [1 2]"; fmt.Sprint(got.Zones, got.Marks) != want {
		t.Errorf("zones and marks %v %v, want %s", got.Zones, got.Marks, want)
	}
	deferred := func(text string) bool {
		p := packet(t, text)
		for i := range got.Defer {
			if got.Defer[i].Has(p) {
				return true
			}
		}
		return false
	}
	for text, want := range map[string]bool{"203.0.113.8 icmp": false, "203.0.113.8 tcp 80": false, "198.51.100.11 icmp": true, "198.51.100.12 icmp": true} {
		if deferred(text) != want {
			t.Errorf("%s is deferred: %v", text, !want)
		}
	}
}
