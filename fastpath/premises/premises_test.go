// SPDX-License-Identifier: Apache-2.0

package premises_test

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func space(t *testing.T) *netns.NS {
	t.Helper()
	name := "dwell-pr-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	return ns
}

// run runs commands of a shell in the namespace.
func run(t *testing.T, ns *netns.NS, script string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out.String())
	}
}

func red() *scope.Tenant {
	return &scope.Tenant{
		ID: "red", Devices: []scope.Device{{Name: "br-red", Index: 5}}, Ports: []scope.Port{{Name: "tap-red-0", Index: 6, Device: 5}},
	}
}

func local() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
}

// packet is "destination tcp 80" or "destination icmp".
func packet(t *testing.T, text string) *header.Packet {
	t.Helper()
	words := strings.Fields(text)
	dst := netip.MustParseAddr(words[0])
	p := &header.Packet{Family: header.V4}
	src := netip.MustParseAddr("192.168.0.10")
	if dst.Is6() {
		p.Family, src = header.V6, netip.MustParseAddr("2001:db8:a::10")
	}
	p.SetAddress(header.Src0, src)
	p.SetAddress(header.Dst0, dst)
	p.Words[header.Origin], p.Words[header.TTL], p.Words[header.Length] = header.From, 63, 84
	p.Words[header.Proto] = map[string]uint32{"icmp": header.ICMP, "tcp": header.TCP, "udp": header.UDP, "icmpv6": header.ICMPv6}[words[1]]
	if len(words) > 2 {
		var port uint32
		if _, err := fmt.Sscan(words[2], &port); err != nil {
			t.Fatal(err)
		}
		p.Words[header.Sport], p.Words[header.Dport] = 40000, port
	}
	return p
}

// want is what is expected of a set of rules.
type want struct {
	// deferred are packets about which nothing may be decided, free those about which it may.
	deferred, free []string
	zones          []uint16
	marks          []uint32
	noDrop         string
	icmpState      string
	noTag          string
	freeBit        uint32
}

func (w *want) check(t *testing.T, ns *netns.NS, family header.Family) {
	t.Helper()
	f, err := premises.Read(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	got := f.For(family, red(), local())
	has := func(text string) bool {
		p := packet(t, text)
		return p.Family == family && slices.ContainsFunc(got.Defer, func(b header.Box) bool { return b.Has(p) })
	}
	for _, p := range w.deferred {
		if !has(p) {
			t.Errorf("%s is not deferred: %v", p, got.Defer)
		}
	}
	for _, p := range w.free {
		if has(p) {
			t.Errorf("%s is deferred: %v", p, got.Defer)
		}
	}
	if len(w.deferred) == 0 {
		for _, p := range []string{"203.0.113.8 tcp 80", "203.0.113.8 icmp", "2001:db8:9::8 udp 53"} {
			if has(p) {
				t.Errorf("%s is deferred: %v", p, got.Defer)
			}
		}
	}
	if zones := append([]uint16{0}, w.zones...); !slices.Equal(zones, got.Zones) {
		t.Errorf("zones %v, want %v", got.Zones, zones)
	}
	if !slices.Equal(w.marks, got.Marks) {
		t.Errorf("marks %#x, want %#x", got.Marks, w.marks)
	}
	for what, c := range map[string][2]string{
		"NoDrop": {w.noDrop, got.NoDrop}, "ICMPState": {w.icmpState, got.ICMPState}, "NoTag": {w.noTag, got.NoTag},
	} {
		if c[0] == "" && c[1] != "" || !strings.Contains(c[1], c[0]) {
			t.Errorf("%s: %q, want %q", what, c[1], c[0])
		}
	}
	if w.freeBit != 0 && w.freeBit != f.FreeBit {
		t.Errorf("free bit %#x, want %#x", f.FreeBit, w.freeBit)
	}
}

// What rules of iptables of either kind allow.
func TestIPTables(t *testing.T) {
	for name, c := range map[string]struct {
		rules string // without the program
		want  want
	}{
		"nothing": {"-t filter -P FORWARD ACCEPT", want{free: []string{"203.0.113.8 tcp 80"}, freeBit: 1 << 31}},
		"dnat": {
			"-t nat -A PREROUTING -d 203.0.113.8 -j DNAT --to-destination 192.0.2.9",
			want{deferred: []string{"203.0.113.8 tcp 80", "203.0.113.8 icmp"}, free: []string{"203.0.113.9 tcp 80"}},
		},
		"dnat of a net": {
			"-t nat -A PREROUTING -d 203.0.113.128/25 -j DNAT --to-destination 192.0.2.9",
			want{deferred: []string{"203.0.113.200 tcp 80"}, free: []string{"203.0.113.8 tcp 80"}},
		},
		"dnat of a port": {
			"-t nat -A PREROUTING -p tcp -m tcp --dport 80:81 -j DNAT --to-destination 192.0.2.9",
			want{deferred: []string{"203.0.113.8 tcp 80"}, free: []string{"203.0.113.8 tcp 82", "203.0.113.8 udp 80", "203.0.113.8 icmp"}},
		},
		"dnat for others": {"-t nat -A PREROUTING -i br-blue -j DNAT --to-destination 192.0.2.9", want{}},
		"dnat for devices whose names begin alike": {
			"-t nat -A PREROUTING -i br-+ -d 203.0.113.8 -j DNAT --to-destination 192.0.2.9", want{deferred: []string{"203.0.113.8 tcp 80"}},
		},
		"dnat of everything": {
			"-t nat -A PREROUTING -j DNAT --to-destination 192.0.2.9",
			want{deferred: []string{"203.0.113.8 tcp 80"}, noTag: "translates destinations (DNAT)"},
		},
		"docker": {
			"-t nat -N DOCKER\n-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n" +
				"-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n" +
				"-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
			want{deferred: []string{"192.0.2.1 tcp 8080", "192.0.2.1 icmp"}, free: []string{"203.0.113.8 tcp 8080"}},
		},
		"snat": {
			"-t nat -A POSTROUTING -o ens3 -j SNAT --to-source 198.51.100.1-198.51.100.3",
			want{deferred: []string{"198.51.100.2 icmp"}, free: []string{"198.51.100.4 icmp"}},
		},
		"netmap": {
			"-t nat -A POSTROUTING -o ens3 -j NETMAP --to 198.51.100.0/24",
			want{deferred: []string{"198.51.100.2 icmp"}, free: []string{"203.0.113.8 icmp"}},
		},
		"redirect": {
			"-t nat -A PREROUTING -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353",
			want{deferred: []string{"203.0.113.8 udp 53"}, free: []string{"203.0.113.8 udp 54"}},
		},
		"log":           {"-t raw -A PREROUTING -j LOG", want{noDrop: "has the target LOG"}},
		"log of others": {"-t raw -A PREROUTING -i br-blue -j LOG", want{}},
		"log of a port": {
			"-t mangle -A PREROUTING -p tcp -m tcp --dport 22 -j LOG", want{deferred: []string{"203.0.113.8 tcp 22"}, free: []string{"203.0.113.8 tcp 23"}},
		},
		"log in a chain": {
			"-t mangle -N a\n-t mangle -N b\n-t mangle -A PREROUTING -d 203.0.113.0/24 -j a\n-t mangle -A a -p tcp -g b\n-t mangle -A b -j LOG",
			want{deferred: []string{"203.0.113.8 tcp 22"}, free: []string{"203.0.113.8 icmp", "198.51.100.1 tcp 1"}},
		},
		"log in forward before ours": {"-t mangle -A FORWARD -j LOG", want{noDrop: "has the target LOG"}},
		"log in forward after ours":  {"-t filter -A FORWARD -j LOG", want{}},
		"log of output":              {"-t mangle -A OUTPUT -j LOG", want{}},
		"a count": {
			"-t raw -A PREROUTING -m limit --limit 1/sec -p tcp -m tcp --dport 22 -j ACCEPT",
			want{deferred: []string{"203.0.113.8 tcp 99"}, free: []string{"203.0.113.8 icmp"}},
		},
		"a count of all": {"-t raw -A PREROUTING -m statistic --mode nth --every 2 --packet 0 -j DROP", want{noDrop: "statistic"}},
		"notrack":        {"-t raw -A PREROUTING -j CT --notrack", want{noDrop: "CT"}},
		"ttl":            {"-t mangle -A PREROUTING -j TTL --ttl-inc 1", want{deferred: []string{"203.0.113.8 icmp"}, noTag: "changes packets (TTL)"}},
		"tos of a port": {
			"-t mangle -A PREROUTING -p tcp -m tcp --dport 22 -j DSCP --set-dscp 8",
			want{deferred: []string{"203.0.113.8 tcp 22"}, free: []string{"203.0.113.8 icmp"}},
		},
		"drop and marks": {
			"-t raw -A PREROUTING -s 10.0.0.0/8 -j DROP\n-t mangle -A PREROUTING -j MARK --set-xmark 0x80000000/0xc0000000", want{freeBit: 1 << 29},
		},
		"a mark that is asked for": {"-t filter -A FORWARD -m mark --mark 0x80000000/0x80000000 -j ACCEPT", want{freeBit: 1 << 30}},
		"marks of connections": {
			"-t mangle -A PREROUTING -j CONNMARK --restore-mark", want{icmpState: "looks at the state", freeBit: 1 << 31},
		},
		"bits that are cleared": {"-t mangle -A PREROUTING -j MARK --and-mark 0xff", want{freeBit: 1 << 31}},
		"zone":                  {"-t raw -A PREROUTING -i br-red -j CT --zone 7\n-t raw -A PREROUTING -i br-blue -j CT --zone 8", want{zones: []uint16{7}}},
		"state":                 {"-t filter -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT", want{icmpState: "looks at the state of connections"}},
		"dwell's own": {
			"-t filter -N dwell\n-t filter -A FORWARD -j dwell\n-t filter -A dwell -m conntrack --ctstate NEW -j LOG\n" +
				"-t filter -A dwell -j MARK --set-xmark 0x80000000/0x80000000", want{freeBit: 1 << 31},
		},
	} {
		for _, kind := range []string{"legacy", "nft"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				ns := space(t)
				var script strings.Builder
				for l := range strings.Lines(c.rules) {
					fmt.Fprintf(&script, "iptables-%s %s\n", kind, strings.TrimSpace(l))
				}
				run(t, ns, script.String())
				c.want.check(t, ns, header.V4)
				(&want{}).check(t, ns, header.V6) // is not affected, but for what is common
			})
		}
	}
}
