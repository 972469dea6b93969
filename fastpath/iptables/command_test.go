// SPDX-License-Identifier: Apache-2.0

package iptables_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// rulesOf returns the rules of a command as iptables-save prints them.
func rulesOf(t *testing.T, line string) []string {
	t.Helper()
	c, err := iptables.ParseLine(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	var rules []string
	for _, r := range c.Rules {
		rules = append(rules, r.String())
	}
	return rules
}

func TestRulesAsIptablesSavesThem(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"iptables -A FORWARD -s 192.168.0.10 -p tcp --dport 22 -j DROP", "-s 192.168.0.10/32 -p tcp -m tcp --dport 22 -j DROP"},
		{"iptables -I FORWARD -j ACCEPT", "-j ACCEPT"},
		{"iptables -A FORWARD", ""},
		{"iptables -A FORWARD -s any/0 -d 0.0.0.0/0 -p all", ""},
		{"iptables -A FORWARD -s 10/8 ! -d 1.2.3.4/255.0.255.0", "-s 10.0.0.0/8 ! -d 1.0.3.0/255.0.255.0"},
		{"iptables -A FORWARD -s ! 010.0.0.1", "! -s 8.0.0.1/32"},
		{"iptables -A FORWARD ! -s 0/0", "! -s 0.0.0.0/0"},
		{"/sbin/iptables-nft --append FORWARD --source=10.0.0.1 --in-interface eth+ ! -o ppp0", "-s 10.0.0.1/32 -i eth+ ! -o ppp0"},
		{"iptables -A FORWARD -p 6 --syn", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN"},
		{"iptables -A FORWARD -p TCP ! --syn --dport :1023", "-p tcp -m tcp --dport 0:1023 ! --tcp-flags FIN,SYN,RST,ACK SYN"},
		{"iptables -A FORWARD -p tcp --sport 0:65535 --tcp-flags all none", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE"},
		{"iptables -A FORWARD -p udp --destination-p domain", "-p udp -m udp --dport 53"},
		{"iptables -A FORWARD -p udp --dport ! 1024:", "-p udp -m udp ! --dport 1024:65535"},
		{"iptables -A FORWARD -p tcp -m multiport ! --destination-ports ssh,80:90", "-p tcp -m multiport ! --dports 22,80:90"},
		{"iptables -A FORWARD -p icmp --icmp-type ping", "-p icmp -m icmp --icmp-type 8"},
		{"iptables -A FORWARD -p icmp --icmp-type port-unreachable", "-p icmp -m icmp --icmp-type 3/3"},
		{"iptables -A FORWARD -p icmp -m icmp", "-p icmp -m icmp --icmp-type any"},
		{"ip6tables -A FORWARD -p icmpv6 --icmpv6-type echo-request", "-p ipv6-icmp -m icmp6 --icmpv6-type 128"},
		{"ip6tables -A FORWARD -s ::1.2.3.4 -d 2001:DB8:0::/32", "-s ::1.2.3.4/128 -d 2001:db8::/32"},
		{"iptables -A FORWARD -m state --state established,related", "-m state --state RELATED,ESTABLISHED"},
		{"iptables -A FORWARD -m conntrack --ctdir reply ! --ctstate dnat,new", "-m conntrack ! --ctstate NEW,DNAT --ctdir REPLY"},
		{"iptables -A FORWARD -m iprange --src-range 10.0.0.1-10.0.0.9", "-m iprange --src-range 10.0.0.1-10.0.0.9"},
		{"iptables -A FORWARD -m dscp --dscp-class ef", "-m dscp --dscp 0x2e"},
		{"iptables -A FORWARD -m tos --tos Minimize-Delay", "-m tos --tos 0x10/0x3f"},
		{"iptables -A FORWARD -m length --length 128:", "-m length --length 128:65535"},
		{"iptables -A FORWARD -m ttl --ttl 3 -f", "-f -m ttl --ttl-eq 3"},
		{"ip6tables -A FORWARD -m hl ! --hl-eq 3", "-m hl ! --hl-eq 3"},
		{`iptables -A FORWARD -m comment --comment "it's"`, `-m comment --comment "it\'s"`},
		{"iptables -A FORWARD -m comment --comment -j -j DROP", "-m comment --comment -j -j DROP"},
		{"iptables -A FORWARD -j LOG --log-prefix '-j DROP '", `-j LOG --log-prefix "-j DROP "`},
		{"iptables -A FORWARD -g own", "-g own"},
		{"iptables -A FORWARD -p udp ! --dport 0:65535", "-p udp -m udp ! --dport 0:65535"},
		{"iptables -A FORWARD -p tcp --tcp-flags NONE SYN", "-p tcp -m tcp --tcp-flags NONE SYN"},
		{"iptables -A FORWARD -p tcp --tcp-flags NONE NONE", "-p tcp -m tcp"},
		{"iptables -A FORWARD -m policy --dir in --pol ipsec --proto esp", "-m policy --dir in --pol ipsec --proto esp"},
		{"iptables -A FORWARD --proto esp", "-p esp"},
		{"iptables -A FORWARD -m limit --limit 3/min --limit-burst 5", "-m limit --limit 3/min --limit-burst 5"},
		{"iptables -A FORWARD -m set --match-set a src -j NFLOG", "-m set --match-set a src -j NFLOG"},
		{"iptables -A FORWARD -m alien --one 1 2 --flag -j DROP", "-m alien --one 1 2 --flag -j DROP"},
		{"iptables -A FORWARD -j ALIEN --one 1", "-j ALIEN --one 1"},
	} {
		if got := rulesOf(t, c.line); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.line, got, c.want)
		}
	}
	if got := rulesOf(t, "iptables -A FORWARD -s 10.0.0.1,10.0.0.2 -d 10.1.0.1,10.1.0.2"); len(got) != 4 || got[1] != "-s 10.0.0.1/32 -d 10.1.0.2/32" {
		t.Errorf("lists of addresses: %q", got)
	}
}

func TestErrorsPointAtTheWord(t *testing.T) {
	for _, c := range []struct {
		line, word, says string
	}{
		{"iptables -A FORWARD -p tcp --dprt 22 -j DROP", "--dprt", "did you mean --dport?"},
		{"iptables -A FORWARD --dport 22", "--dport", "-p tcp"},
		{"iptables -A FORWARD -m mulitport --dports 22", "mulitport", "did you mean multiport?"},
		{"iptables -A FORWARD -p tpc", "tpc", "did you mean tcp?"},
		{"iptables -A FORWARD -s example.org", "example.org", "not an IPv4 address"},
		{"ip6tables -A FORWARD -s 10.0.0.1", "10.0.0.1", "not an IPv6 address"},
		{"iptables -A FORWARD -s 10.0.0.1/33", "10.0.0.1/33", "invalid mask"},
		{"iptables -A FORWARD -p tcp --dport 65536", "65536", "invalid port"},
		{"iptables -A FORWARD -p tcp --tcp-flags SYN,FNI SYN", "SYN,FNI", "Unknown TCP flag `FNI'"},
		{"iptables -A FORWARD -p icmp --icmp-type eco-request", "eco-request", "did you mean echo-request?"},
		{"iptables -A FORWARD -m conntrack --ctstate NWE", "NWE", "did you mean NEW?"},
		{"iptables -A FORWARD -j", "", "needs an argument"},
		{"iptables -A FORWARD -s 10.0.0.1 stray", "stray", "Bad argument"},
		{"iptables -A FORWARD ! ! -s 10.0.0.1", "!", "more than one !"},
		{"iptables -A FORWARD ! -j DROP", "!", "unexpected !"},
		{"iptables -A FORWARD -j DROP !", "!", "nothing follows"},
		{"iptables -A FORWARD -s 10.0.0.1 -s 10.0.0.2", "-s", "multiple"},
		{"iptables -A FORWARD -D FORWARD", "-D", "Cannot use -D with -A"},
		{"iptables -F FORWARD -s 10.0.0.1", "-s", "Illegal option"},
		{"iptables -A", "", "needs an argument"},
		{"iptables -A FORWARD -p tcp -m multiport --ports 1,2,3,4,5,6,7,8,9,10,11,12,13,14:15,16", "1,2,3,4,5,6,7,8,9,10,11,12,13,14:15,16", "too many ports"},
		{"iptables -A FORWARD ! -p all", "all", "never match"},
		{"iptables -A INPUT -o eth0", "-o", "Can't use -o with INPUT"},
		{"ip6tables -A FORWARD -f", "-f", "not supported in IPv6"},
		{"iptables -A FORWARD -j DROP -g own", "-g", "exclude each other"},
		{"iptables -R FORWARD -j DROP", "-j", "requires a rule number"},
		{"iptables -I FORWARD 0 -j DROP", "0", "Invalid rule number"},
		{"iptables -P FORWARD drop", "drop", "Bad policy name"},
		{"iptables -N LOG", "LOG", "clash with target name"},
		{"iptables -t filtre -L", "filtre", "does not exist"},
		{"iptables -m tcp -A FORWARD", "tcp", "write -p tcp"},
		{"nft add rule", "nft", "not iptables or ip6tables"},
		{"iptables -s 10.0.0.1", "", "no command"},
		{"iptables -A FORWARD -s $HOME", "$", "not a shell"},
		{"iptables -A FORWARD -m comment --comment 'x", "'x", "not closed"},
		{"", "", "there is no command"},
	} {
		_, err := iptables.ParseLine(c.line)
		var syntax *iptables.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if syntax.Text != c.word || !strings.Contains(syntax.Error(), c.says) {
			t.Errorf("%s: word %q: %v; want %q, %q", c.line, syntax.Text, err, c.word, c.says)
		}
		if c.word != "" && !strings.HasPrefix(c.line[syntax.Column:], c.word) {
			t.Errorf("%s: column %d does not have %q", c.line, syntax.Column, c.word)
		}
	}
}

// TestQuotedWordsAreReadAlike: what Quote writes, a shell, iptables-restore and ParseLine read.
func TestQuotedWordsAreReadAlike(t *testing.T) {
	for _, w := range []string{"plain", "two words", `it's`, `"`, `\`, `\'`, "$HOME", "`date`", "*", "", "a#b", "!", `a\"b`} {
		line := "iptables -A FORWARD -m comment --comment " + iptables.Quote(w)
		c, err := iptables.ParseLine(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := c.Words[len(c.Words)-1]; got != w {
			t.Errorf("ParseLine reads %s as %q", line, got)
		}
		r, err := iptables.ParseRule(c.Family, "-m comment --comment "+iptables.Quote(w))
		if err != nil || r.Comment() != w {
			t.Errorf("ParseRule reads %s as %q: %v", iptables.Quote(w), r.Comment(), err)
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+iptables.Quote(w)).Output()
		if err != nil || string(out) != w {
			t.Errorf("a shell reads %s as %q: %v", iptables.Quote(w), out, err)
		}
	}
}

func TestCommandsThatHaveNoRule(t *testing.T) {
	for _, c := range []struct {
		line string
		want iptables.Command
	}{
		{"iptables -vnL", iptables.Command{Op: iptables.List, Verbose: true, Numeric: true}},
		{"iptables -L FORWARD 3 -n --line-numbers", iptables.Command{Op: iptables.List, Chain: "FORWARD", Number: 3, Numeric: true, LineNumbers: true}},
		{"iptables -S own", iptables.Command{Op: iptables.ListRules, Chain: "own"}},
		{"iptables -w 5 -D FORWARD 2", iptables.Command{Op: iptables.Delete, Chain: "FORWARD", Number: 2}},
		{"iptables --flush", iptables.Command{Op: iptables.Flush}},
		{"iptables -P FORWARD DROP", iptables.Command{Op: iptables.SetPolicy, Chain: "FORWARD", Policy: "DROP"}},
		{"iptables -E one two", iptables.Command{Op: iptables.Rename, Chain: "one", NewName: "two"}},
		{"iptables -Fown", iptables.Command{Op: iptables.Flush, Chain: "own"}},
		{"iptables -t nat -X", iptables.Command{Op: iptables.DeleteChain, Table: "nat"}},
	} {
		got, err := iptables.ParseLine(c.line)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		want := c.want
		want.Family, want.Words = got.Family, got.Words
		if want.Table == "" {
			want.Table = "filter"
		}
		if !equalCommands(*got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.line, *got, want)
		}
	}
}

func equalCommands(a, b iptables.Command) bool {
	return a.Op == b.Op && a.Table == b.Table && a.Chain == b.Chain && a.Number == b.Number && a.NewName == b.NewName &&
		a.Policy == b.Policy && a.Verbose == b.Verbose && a.Numeric == b.Numeric && a.LineNumbers == b.LineNumbers &&
		len(a.Rules) == len(b.Rules)
}

// What is a blank in one reader of a rule and not in another could hide a second rule in a word.
func TestControlCharactersAreRefused(t *testing.T) {
	for _, c := range []string{"\r", "\n", "\v", "\f", "\x00", "\x1b", "\x7f", "\u009b"} {
		for _, words := range [][]string{
			{"iptables", "-A", "FORWARD", "-i", "a" + c + "-jNFQUEUE", "-j", "DROP"},
			{"iptables", "-A", "FORWARD", "-m", "string", "--algo", "bm" + c + "-jNFQUEUE", "--string", "x"},
			{"iptables", "-A", "FORWARD", "-m", "comment", "--comment", "a" + c + "b"},
			{"iptables", "-N", "a" + c + "b"},
			{"iptables", "-E", "a", "a" + c + "b"},
		} {
			if _, err := iptables.ParseCommand(words); err == nil {
				t.Errorf("%q is taken", words)
			}
		}
		if c == "\n" || c == "\r" {
			continue // it parts lines or words
		}
		for _, text := range []string{"-A FORWARD -i a" + c + "b", ":a" + c + "b - [0:0]"} {
			if _, err := iptables.ParseSave(4, "*filter\n"+text+"\nCOMMIT\n"); err == nil {
				t.Errorf("a file with %q is taken", text)
			}
		}
	}
}
