// SPDX-License-Identifier: Apache-2.0

package iptables_test

import (
	"errors"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// FuzzParseCommand looks for commands that crash the parser, and for rules that are another
// rule once they are printed.
func FuzzParseCommand(f *testing.F) {
	for _, seed := range []string{
		"iptables -A FORWARD -s 192.0.2.1,10/8 ! -d 1.2.3.4/255.0.255.0 -i eth+ -p tcp --dport ! 22:80 --syn -j DROP",
		"ip6tables -I FORWARD 2 -p icmpv6 --icmpv6-type echo-request -m hl --hl-gt 3 -g own",
		`iptables -R FORWARD 1 -m comment --comment "it's" -m conntrack ! --ctstate NEW,DNAT --ctdir REPLY`,
		"iptables -m set --match-set a src,dst -m iprange --src-range 10.0.0.1-10.0.0.9 -A own -j LOG --log-prefix '-j '",
		"iptables -A FORWARD -p 6 -m multiport --ports 1,2:3 -m tcp --tcp-flags ALL NONE -m ecn ! --ecn-tcp-cwr",
		"iptables -A FORWARD -m tos --tos 0x10/0x3f -m dscp --dscp-class ef -m ttl --ttl 3 -m length --length :5 -f",
		"iptables -A FORWARD -m alien --a b c ! --d=e -j ALIEN --f", "iptables -vnL FORWARD 3", "iptables -t nat -E a b",
		"iptables -c 1 2 -P FORWARD DROP", "iptables -D FORWARD 3", "iptables -Z", "ip6tables -A FORWARD -s ::ffff:1.2.3.4/96",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := iptables.ParseLine(text)
		if err != nil {
			var syntax *iptables.SyntaxError
			if !errors.As(err, &syntax) || syntax.Column < 0 || syntax.Word < 0 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		chains := iptables.NewChains(c.Family)
		_ = chains.Apply(c)
		for _, r := range c.Rules {
			printed := r.String()
			again, err := iptables.ParseRule(c.Family, printed)
			if err != nil {
				t.Fatalf("%q: printed as %q: %v", text, printed, err)
			}
			if again.String() != printed {
				t.Fatalf("%q: printed as %q, then as %q", text, printed, again)
			}
			a, reasonA := r.Lower(devices)
			b, reasonB := again.Lower(devices)
			if a.Unknown != b.Unknown || a.Action != b.Action || reasonA != reasonB || len(a.Boxes) != len(b.Boxes) {
				t.Fatalf("%q: %q does something else", text, printed)
			}
		}
	})
}

// FuzzParseSave looks for files that crash the parser, and for files that are another once they
// are printed.
func FuzzParseSave(f *testing.F) {
	for _, seed := range []string{
		"*filter\n:FORWARD DROP [1:2]\n:own - [0:0]\n[3:4] -A FORWARD -j own\n-A own -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n",
		"# x\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DNAT --to-destination 10.0.0.1\nCOMMIT\n\n*raw\nCOMMIT\n",
		"*filter\n-I FORWARD -m comment --comment \"a \\\"b\\\" c\" -j DROP\n-N x\n-A x -j ACCEPT\nCOMMIT\n",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, lenient bool) {
		parse := iptables.ParseSave
		if lenient {
			parse = iptables.ReadSave
		}
		s, err := parse(header.V4, text)
		if err != nil {
			var syntax *iptables.SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := parse(header.V4, s.String())
		if err != nil {
			t.Fatalf("%q: printed as %q: %v", text, s, err)
		}
		if again.String() != s.String() {
			t.Fatalf("%q: printed as %q, then as %q", text, s, again)
		}
		_ = iptables.NewChains(header.V4).Restore(s)
	})
}
