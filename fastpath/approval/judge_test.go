// SPDX-License-Identifier: Apache-2.0

package approval_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// firewall has tenants' own rules by number, as iptables-save prints the chain FORWARD.
type firewall struct {
	rules map[uint32]string
	alone bool // iptables decides
}

func (f *firewall) InForce(number uint32, family header.Family) (*ruleset.Set, *diagram.Diagram, bool) {
	text, some := f.rules[number]
	if !some || family != header.V4 {
		return nil, nil, false
	}
	set := lower(text)
	if f.alone {
		return set, nil, true
	}
	d, err := diagram.Compile(set, diagram.Options{})
	if err != nil {
		panic(err)
	}
	return set, d, true
}

// lower translates rules, of which a tenant's come from and go to br-red.
func lower(text string) *ruleset.Set {
	save, err := iptables.ReadSave(header.V4, "*filter\n:FORWARD ACCEPT [0:0]\n"+text+"\nCOMMIT\n")
	if err != nil {
		panic(err)
	}
	id := uint32(0)
	chains := &iptables.Chains{Family: header.V4, List: save.Tables[0].Chains}
	for _, c := range chains.List {
		for _, r := range c.Rules {
			id++
			r.ID = id
		}
	}
	set, _ := chains.Lower(func(name string, out bool) (from, to iptables.Truth) {
		if name != "br-red" {
			return iptables.Never, iptables.Never
		}
		if out {
			return iptables.Unknown, iptables.Always
		}
		return iptables.Always, iptables.Never
	})
	return set
}

// What tenants' own rules keep slow.
func TestOwnRules(t *testing.T) {
	ns := space(t)
	none := read(t, ns)
	const udp = "udp 53"
	for name, c := range map[string]struct {
		rules      string
		slow, what string
	}{
		"nothing":                  {"", "", ""},
		"accept":                   {"-A FORWARD -j ACCEPT", "", ""},
		"drop":                     {"-A FORWARD -p udp -j DROP", udp, "drop it"},
		"established":              {"-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A FORWARD -j DROP", "", ""},
		"one direction":            {"-A FORWARD -i br-red -j ACCEPT\n-A FORWARD -j DROP", "all", "drop it"},
		"from the inside":          {"-A FORWARD -s 192.168.0.10 -p udp -j DROP", udp, "drop it"},
		"to the inside":            {"-A FORWARD -d 192.168.0.10 -p udp -j DROP", udp, "drop it"},
		"to the outside address":   {"-A FORWARD -d 198.51.100.1 -p udp -j DROP", "", ""},
		"from the outside address": {"-A FORWARD -s 198.51.100.1 -p udp -j DROP", "", ""},
		"translated":               {"-A FORWARD -m conntrack --ctstate SNAT -j ACCEPT\n-A FORWARD -j DROP", "", ""},
		"not translated":           {"-A FORWARD -m conntrack --ctstate DNAT -j DROP", "", ""},
		"length":                   {"-A FORWARD -p udp -m length --length 1000:2000 -j DROP", udp, "differently"},
		"lengths that none has":    {"-A FORWARD -p udp -m length --length 0:27 -j DROP", "", ""},
		"ttl":                      {"-A FORWARD -p udp -m ttl --ttl-gt 200 -j DROP", udp, "differently"},
		"ecn":                      {"-A FORWARD -p udp -m ecn --ecn-ip-ect 3 -j DROP", udp, "differently"}, //nolint:misspell // ECT is "ECN-capable transport"
		"dscp":                     {"-A FORWARD -p udp -m dscp ! --dscp 10 -j DROP", udp, ""},
		"its dscp":                 {"-A FORWARD -m dscp --dscp 0x0b -j DROP", "", ""},
		"flags":                    {"-A FORWARD -p tcp -m tcp --tcp-flags PSH PSH -j DROP", "tcp 80", "differently"},
		"no data":                  {"-A FORWARD -p tcp -m tcp --tcp-flags ACK NONE -j DROP", "", ""},
		"limit":                    {"-A FORWARD -p udp -m limit --limit 5/sec -j ACCEPT", udp, "own rule 1"},
		"log":                      {"-A FORWARD -p udp -j LOG", udp, "own rule 1"},
		"log of new":               {"-A FORWARD -p udp -m conntrack --ctstate NEW -j LOG", "", ""},
		"mark":                     {"-A FORWARD -p udp -m mark --mark 1 -j DROP", "", ""},
		"mark and length":          {"-A FORWARD -p udp -m mark --mark 1 -m length --length 99 -j DROP", udp, "own rule 1"},
		"log of some marks":        {"-A FORWARD -p udp -m mark --mark 1 -j ACCEPT\n-A FORWARD -p udp -j LOG", udp, "own rule 2"},
	} {
		for _, alone := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				in := inputs(t, ns)
				in.Foreign = none
				in.Firewall = &firewall{map[uint32]string{redNumber: c.rules}, alone}
				what := c.what
				if alone && what == "differently" {
					what = "may treat its packets differently"
				}
				check(t, approval.New(in), c.slow, what)
			})
		}
	}
}

// Everything is refused if it is not known what there is.
func TestClosed(t *testing.T) {
	ns := space(t)
	good := inputs(t, ns)
	check(t, approval.New(good), "", "")
	for what, change := range map[string]func(*approval.Inputs){
		"cannot be read: no": func(in *approval.Inputs) { in.Foreign, in.Unread = nil, errors.New("no") },
		"not known yet":      func(in *approval.Inputs) { in.Foreign = nil },
		"past FORWARD":       func(in *approval.Inputs) { in.Foreign = &premises.Foreign{Bypass: "rule 1"} },
		"whose":              func(in *approval.Inputs) { in.Host = nil },
		"tenant is not":      func(in *approval.Inputs) { in.Slots = nil },
		"another tenant's":   func(in *approval.Inputs) { in.Slots = map[uint16]uint32{redSlot: blueNumber} },
	} {
		in := good
		change(&in)
		p := approval.New(in)
		check(t, p, "every", what)
		if p.Equal(approval.New(good)) || !p.Equal(approval.New(in)) {
			t.Errorf("%s: not compared", what)
		}
	}
}

// Rules of legacy iptables that cannot be read close everything.
func TestUnread(t *testing.T) {
	ns := space(t)
	run(t, ns, "iptables-legacy -P FORWARD ACCEPT")
	in := inputs(t, ns)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // so that iptables-save cannot run
	f, err := premises.Read(ctx, ns)
	if err != nil {
		t.Fatal(err)
	}
	in.Foreign = f
	check(t, approval.New(in), "every", "cannot be read")
}

// An address inside a tenant must be the tenant's, if the tenant names prefixes of its family.
func TestSpoofed(t *testing.T) {
	ns := space(t)
	in := inputs(t, ns)
	prefixes := func(text ...string) *approval.Policy {
		host := hostOf()
		for _, p := range text {
			host.Tenants[1].Prefixes = append(host.Tenants[1].Prefixes, netip.MustParsePrefix(p))
		}
		in.Host = host
		return approval.New(in)
	}
	check(t, prefixes("192.168.0.0/24", "2001:db8:a::/64"), "", "")
	check(t, prefixes("192.168.0.0/24"), "", "")
	check(t, prefixes("2001:db8:a::/64"), "", "")
	check(t, prefixes("::ffff:192.168.0.0/120"), "", "")
	check(t, prefixes("::ffff:192.168.1.0/120", "2001:db8:b::/64"), "every", "is not one of")
	check(t, prefixes("192.168.0.0/24", "2001:db8:b::/64"), "tcp6 80, echo6", "not one of the tenant's own addresses")
	check(t, prefixes("192.168.1.0/24", "2001:db8:b::/64"), "every", "is not one of")
	forth, back := flows(6, "203.0.113.8", 80)
	back.Rewrite.After.Dst = netip.MustParseAddr("192.168.1.10")
	if d := prefixes("192.168.0.0/24").Judge(forth, back); d.OK || !strings.HasPrefix(d.Detail, "192.168.1.10 ") {
		t.Errorf("a flow to another's address: %+v", d)
	}
}

// between makes a flow from red's port to blue's.
func between(forth, back *flow.Flow) {
	forth.Rewrite.Out, back.Key.IfIndex = bluePort, bluePort
	forth.Slot, forth.Other, back.Slot, back.Other = redSlot, blueSlot, blueSlot, redSlot
}

// Of a flow between two tenants both are asked, and rules for the devices of either matter.
func TestBetween(t *testing.T) {
	ns := space(t)
	in := inputs(t, ns)
	judge := func() approval.Decision {
		forth, back := flows(6, "203.0.113.8", 80)
		between(forth, back)
		return approval.New(in).Judge(forth, back)
	}
	if d := judge(); !d.OK {
		t.Errorf("without rules: %+v", d)
	}
	for _, number := range []uint32{redNumber, blueNumber} {
		in.Firewall = &firewall{rules: map[uint32]string{number: "-A FORWARD -p tcp -j LOG"}}
		if d := judge(); d.OK {
			t.Errorf("rules of tenant %d are not asked", number)
		}
	}
	in.Firewall = nil
	run(t, ns, "iptables-nft -A FORWARD -i br-blue -j LOG")
	in.Foreign = read(t, ns)
	if d := judge(); d.OK {
		t.Error("a rule for the other's device is not asked")
	}
}

// What is not routed meets iptables only where bridges call it, and rules of bridges always.
func TestBridged(t *testing.T) {
	ns := space(t)
	run(t, ns, "iptables-nft -A FORWARD -j LOG")
	run(t, ns, "sysctl -qw net.bridge.bridge-nf-call-iptables=0; ip link add br-red type bridge")
	judge := func(call int) approval.Decision {
		run(t, ns, fmt.Sprintf("ip link set br-red type bridge nf_call_iptables %d", call))
		in := inputs(t, ns)
		forth, back := flows(6, "203.0.113.8", 80)
		for _, f := range []*flow.Flow{forth, back} {
			f.Rewrite.Routed, f.Tracked, f.Rewrite.After = false, false, f.Key.Tuple
		}
		return approval.New(in).Judge(forth, back)
	}
	if d := judge(0); !d.OK {
		t.Errorf("bridged past iptables: %+v", d)
	}
	if d := judge(1); d.OK {
		t.Error("bridges call iptables, and it is not asked")
	}
	run(t, ns, "sysctl -qw net.bridge.bridge-nf-call-iptables=1")
	if d := judge(0); d.OK {
		t.Error("all bridges call iptables, and it is not asked")
	}
	run(t, ns, "iptables-nft -I FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT")
	if d := judge(1); d.OK {
		t.Error("what is not tracked is taken to be established")
	}
	run(t, ns, "sysctl -qw net.bridge.bridge-nf-call-iptables=0; iptables-nft -F; nft 'table bridge b { chain c { type filter hook forward priority 0; limit rate 5/second; }; }'")
	if d := judge(0); d.OK {
		t.Error("rules of bridges are not asked")
	}
}

// outerHeaders are what a tunnel puts before frames: Ethernet, IPv4, UDP and VXLAN.
func outerHeaders() []byte {
	b := make([]byte, 50)
	b[12], b[14], b[23] = 0x08, 0x45, 17
	copy(b[26:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	b[34], b[35], b[36], b[37] = 0xc0, 0x01, 0x12, 0xb5 // 49153 to 4789
	return b
}

// Packets in tunnels meet rules twice.
func TestTunnel(t *testing.T) {
	tunnelled := func(t *testing.T, rules string, change func(forth, back *flow.Flow)) approval.Decision {
		t.Helper()
		ns := space(t)
		run(t, ns, rules)
		forth, back := flows(6, "203.0.113.8", 80)
		forth.Rewrite.Outer = outerHeaders()
		back.Rewrite.Outer, back.Rewrite.Decapsulated = outerHeaders(), true
		change(forth, back)
		return approval.New(inputs(t, ns)).Judge(forth, back)
	}
	for rules, ok := range map[string]bool{
		"true":                                 true,
		"iptables-nft -A OUTPUT -j LOG":        false,
		"iptables-nft -A INPUT -j LOG":         false,
		"iptables-nft -A OUTPUT -p tcp -j LOG": true,
		"iptables-nft -A INPUT -p udp -m udp --dport 4789 -m limit --limit 1/s":                                                     false,
		"iptables-nft -A INPUT -p udp -m udp --dport 4790 -m limit --limit 1/s":                                                     true,
		"iptables-nft -A INPUT -p udp -m udp --dport 4789 -j ACCEPT; iptables-nft -A INPUT -j LOG":                                  true,
		"iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables-nft -A INPUT -j LOG":                          false,
		"iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables-nft -A INPUT -p udp -j ACCEPT":                true,
		"iptables-nft -A FORWARD -p udp -j LOG":                                                                                     true,
		"iptables-nft -t mangle -A POSTROUTING -p udp -s 192.0.2.1 -j LOG":                                                          false,
		"iptables-nft -t raw -A PREROUTING -p udp -m length --length 0:1000 -j DROP":                                                false,
		"nft 'table netdev d { chain c { type filter hook ingress device lo priority 0; ip protocol udp limit rate 1/second; }; }'": false,
	} {
		d := tunnelled(t, rules, func(_, _ *flow.Flow) {})
		if d.OK != ok {
			t.Errorf("%s: %+v", rules, d)
		}
	}
	for _, outer := range [][]byte{{}, make([]byte, 13), make([]byte, 50), outerHeaders()[:36]} {
		d := tunnelled(t, "true", func(_, back *flow.Flow) { back.Rewrite.Outer = outer })
		if d.OK || !strings.Contains(d.Detail, "tunnel") {
			t.Errorf("headers %x: %+v", outer, d)
		}
	}
}

// Rules that make no difference to flows that are fast do not make another policy.
func TestEqual(t *testing.T) {
	ns := space(t)
	run(t, ns, "iptables-nft -A FORWARD -p tcp -m tcp --dport 22 -j LOG")
	in := inputs(t, ns)
	in.Firewall = &firewall{rules: map[uint32]string{redNumber: "-A FORWARD -p udp -j DROP"}}
	before := approval.New(in)
	for _, c := range []struct {
		script string
		equal  bool
	}{
		{"true", true},
		{"iptables-nft -I FORWARD -p tcp --syn -m limit --limit 1/s -j ACCEPT", true}, // of no packet that is fast
		{"iptables-nft -t mangle -A FORWARD -s 192.0.2.7 -j DROP", true},              // the same for all
		{"iptables-nft -A INPUT -p tcp -j LOG", true},                                 // of no flow that is forwarded
		{"iptables-nft -A FORWARD -p tcp -m tcp --dport 23 -j LOG", false},
	} {
		run(t, ns, c.script)
		in.Foreign = read(t, ns)
		if got := approval.New(in).Equal(before); got != c.equal {
			t.Errorf("%s: equal %v", c.script, got)
		}
	}
	in.Firewall = &firewall{rules: map[uint32]string{redNumber: "-A FORWARD -p udp -j ACCEPT"}}
	if after := approval.New(in); after.Equal(before) {
		t.Error("other rules of a tenant make no difference")
	}
}

// ready has rules of all tenants that are made once.
type ready struct {
	set     *ruleset.Set
	forward *diagram.Diagram
}

func (r *ready) InForce(_ uint32, f header.Family) (*ruleset.Set, *diagram.Diagram, bool) {
	return r.set, r.forward, f == header.V4
}
