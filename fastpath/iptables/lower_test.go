// SPDX-License-Identifier: Apache-2.0

package iptables_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// devices is a tenant whose only device is br-red.
func devices(name string, out bool) (from, to iptables.Truth) {
	prefix, wild := strings.CutSuffix(name, "+")
	is := iptables.Never
	const own = "br-red"
	if name == own || wild && strings.HasPrefix(own, prefix) {
		is = iptables.Always
	}
	if out {
		return iptables.Never, is
	}
	return is, iptables.Never
}

// drawPacket draws a packet at the boundaries of what rules say.
func drawPacket(t *rapid.T, f header.Family) *header.Packet {
	s := source{t, f}
	p := &header.Packet{Family: f}
	p.SetAddress(header.Src0, s.host("source"))
	p.SetAddress(header.Dst0, s.host("destination"))
	w := &p.Words
	w[header.Proto] = uint32(pick(s, []int{6, 6, 17, 17, 132, 33, 136, 47, 1, 58}, "proto"))
	switch w[header.Proto] {
	case 1, 58:
		w[header.Sport] = uint32(pick(s, []int{0, 3, 8, 128, 129, 255}, "type")<<8 + s.number(0, 5, "code"))
	case 47:
	default:
		w[header.Sport] = uint32(min(s.portNumber("sport")+s.number(0, 1, "sport"), 65535))
		w[header.Dport] = uint32(min(s.portNumber("dport")+s.number(0, 1, "dport"), 65535))
	}
	if w[header.Proto] == 6 {
		w[header.Flags] = uint32(s.number(0, 255, "flags"))
	}
	w[header.TOS] = uint32(s.number(0, 255, "tos"))
	w[header.Length] = uint32(pick(s, []int{19, 20, 21, 84, 85, 1084, 1500, 65535}, "length"))
	w[header.TTL] = uint32(pick(s, []int{0, 1, 2, 62, 63, 64, 65, 254, 255}, "ttl"))
	w[header.State] = pick(s, header.States(), "state")
	w[header.Origin] = uint32(s.number(0, 1, "origin"))
	return p
}

// TestLowerIsWhatTheKernelDoes compares the sets with the kernel's own way to compare.
func TestLowerIsWhatTheKernelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRule(t)
		r, err := iptables.ParseRule(d.family, d.text)
		if err != nil {
			t.Fatalf("%s: %v", d.text, err)
		}
		lowered, reason := r.Lower(devices)
		// What the rule says is known; what nf_tables makes of it is left to nf_tables.
		quirk := strings.Contains(reason, "iptables of nf_tables takes")
		if reason != "" && !quirk && !strings.Contains(reason, "a decision diagram") {
			t.Fatalf("%s: %s", d.text, reason)
		}
		for i := range lowered.Boxes {
			for j := range i {
				if both, meet := lowered.Boxes[i].Intersect(&lowered.Boxes[j]); meet {
					t.Fatalf("%s: boxes overlap: %v", d.text, both)
				}
			}
		}
		for range 20 {
			p := drawPacket(t, d.family)
			got, want := lowered.Has(p), d.matches(p)
			if got != want && (want || !lowered.Unknown) {
				t.Fatalf("%s\npacket %v\n%v, but the kernel says %v", d.text, p, got, want)
			}
		}
	})
}

// TestRulesSurviveTheirText prints rules and reads them again.
func TestRulesSurviveTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRule(t)
		r, err := iptables.ParseRule(d.family, d.text)
		if err != nil {
			t.Fatalf("%s: %v", d.text, err)
		}
		again, err := iptables.ParseRule(d.family, r.String())
		if err != nil {
			t.Fatalf("%s, printed as %s: %v", d.text, r, err)
		}
		if again.String() != r.String() {
			t.Fatalf("%s: printed as %s, then as %s", d.text, r, again)
		}
		a, _ := r.Lower(devices)
		b, _ := again.Lower(devices)
		p := drawPacket(t, d.family)
		if a.Has(p) != b.Has(p) || a.Action != b.Action || a.Target != b.Target {
			t.Fatalf("%s is not the same as %s", d.text, again)
		}
	})
}

func TestWhatIsLeftToIptables(t *testing.T) {
	for _, c := range []struct {
		rule    string
		unknown bool
		boxes   int
		action  ruleset.Action
		reason  string
	}{
		{"-m limit --limit 3/min -j DROP", true, 1, ruleset.Deny, "only iptables can match limit"},
		{"-s 10.0.0.1 -m mac --mac-source 02:00:00:00:00:01", true, 1, ruleset.Continue, "only iptables can match mac"},
		{"-f -m limit --limit 3/min -j DROP", false, 0, ruleset.Deny, ""},
		{"-f -j DROP", false, 0, ruleset.Deny, ""},
		{"! -f -j DROP", false, 1, ruleset.Deny, ""},
		{"-j REJECT --reject-with icmp-port-unreachable", false, 1, ruleset.Foreign, "only iptables can do REJECT"},
		{"-p sctp -m sctp --dport 5 --chunk-types any DATA -j DROP", true, 1, ruleset.Deny, "only iptables can match --chunk-types"},
		{"-p tcp -m tcp --tcp-option 2 -j DROP", true, 1, ruleset.Deny, "only iptables can match --tcp-option"},
		{"-m conntrack --ctstate NEW --ctproto 6 -j DROP", true, 1, ruleset.Deny, "only iptables can match --ctproto"},
		{"-i vnet0 -j DROP", true, 1, ruleset.Deny, "only iptables can tell whether a packet passes -i vnet0"},
		{"-s 1.2.3.4/0.0.0.1 -j DROP", true, 1, ruleset.Deny, "the mask 0.0.0.1 has too many holes for a decision diagram"},
		{"-s 10.0.0.0/254.255.255.1 -j DROP", false, 1, ruleset.Deny, ""},
		{"-m alien --x -j DROP", true, 1, ruleset.Foreign, "the match alien is not one that iptables comes with"},
		{"-j ALIEN --x", true, 1, ruleset.Foreign, "the target ALIEN is not one that iptables comes with"},
		{"-p tcp -m multiport --ports 1,2 -j own", false, 2, ruleset.Jump, ""},
		{"-g own", false, 1, ruleset.Goto, ""},
	} {
		r, err := iptables.ParseRule(header.V4, c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		unsure := func(string, bool) (iptables.Truth, iptables.Truth) { return iptables.Unknown, iptables.Unknown }
		got, reason := r.Lower(unsure)
		if got.Unknown != c.unknown || len(got.Boxes) != c.boxes || got.Action != c.action || reason != c.reason {
			t.Errorf("%s: unknown %v, %d boxes, action %d, %q", c.rule, got.Unknown, len(got.Boxes), got.Action, reason)
		}
	}
}

// TestCountingComesBeforeLaterMatches: iptables asks matches in order, and limit counts what it is
// asked for.
func TestCountingComesBeforeLaterMatches(t *testing.T) {
	ssh, other := header.Packet{Family: header.V4}, header.Packet{Family: header.V4}
	ssh.Words[header.Proto], ssh.Words[header.Dport] = header.TCP, 22
	other.Words[header.Proto], other.Words[header.Dport] = header.TCP, 23
	for _, c := range []struct {
		rule string
		want bool // other must come to iptables
	}{
		{"-p tcp -m limit --limit 1/s -m tcp --dport 22 -j DROP", true},
		{"-p tcp -m tcp --dport 22 -m limit --limit 1/s -j DROP", false},
		{"-p tcp -m mac --mac-source 02:00:00:00:00:01 -m tcp --dport 22 -j DROP", false},
		{"-p tcp -m connlabel --label 1 -m tcp --dport 22 -j DROP", false},
		{"-p tcp -m connlabel --label 1 --set -m tcp --dport 22 -j DROP", true},
		{"-p udp -m limit --limit 1/s -m udp --dport 22 -j DROP", false},
	} {
		r, err := iptables.ParseRule(header.V4, c.rule)
		if err != nil {
			t.Fatal(err)
		}
		lowered, _ := r.Lower(devices)
		if lowered.Has(&ssh) != (r.Proto.Number == header.TCP) || lowered.Has(&other) != c.want {
			t.Errorf("%s: %v, %v", c.rule, lowered.Has(&ssh), lowered.Has(&other))
		}
	}
}
