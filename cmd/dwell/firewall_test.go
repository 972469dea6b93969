// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
)

// Each command asks for what was typed, and says what became of it, in words or as JSON.
func TestFirewallCommands(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.v6")
	const text = "*filter\n-A FORWARD -j DROP\nCOMMIT\n"
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	done := &firewall.Restored{Done: true, CompileTime: 12_345_678, SwapTime: 31_000, Answers: []firewall.Answer{
		{Place: firewall.TC, Reason: "exact", Command: "-A FORWARD -j DROP"}, {Place: firewall.IPTables, Reason: "-m limit keeps a count", Command: "-A FORWARD -m limit -j DROP"},
	}}
	fake := &fakeFirewall{answer: &firewall.Answer{Place: firewall.TC, Reason: "programs decide"}, restored: done}
	b := startFirewall(t, fake, everything())
	const add = "iptables -A FORWARD -s 192.168.0.10 -p tcp --dport 22 -j DROP"
	const added = "do red iptables|-A|FORWARD|-s|192.168.0.10|-p|tcp|--dport|22|-j|DROP"
	const inForce = "2 rules in force: 1 by tc, 1 by iptables; compiled in 12.3ms, put in force in 31µs\n  rule 2, -A FORWARD -m limit -j DROP\n    iptables: -m limit keeps a count\n"
	wouldBe := strings.NewReplacer("rules in force", "rules would be in force", ", put in force in 31µs", "").Replace(inForce)
	for _, test := range []struct{ args, call, out string }{
		{"--tenant red -- " + add, added + " dry=false others=false", "tc: programs decide\n"},
		{"-t red " + add, added + " dry=false others=false", "tc: programs decide\n"},
		{"-t red --dry-run -- " + add, added + " dry=true others=false", "would be tc: programs decide\n"},
		{"-t red --affect-others -- iptables -t nat -F", "do red iptables|-t|nat|-F dry=false others=true", "tc: programs decide\n"},
		{"check -t red -- " + add, added + " dry=true others=false", "would be tc: programs decide\n"},
		{"check -t red " + rules, "restore red 6 34 bytes dry=true", wouldBe},
		{"apply -t red " + rules, "restore red 6 34 bytes dry=false", inForce},
		{"apply -t red --dry-run --family 4 " + rules, "restore red 4 34 bytes dry=true", wouldBe},
		{"list -t red", "list red", redsListing},
		{"list", "list blue; list red", "Tenant blue\n" + redsListing + "\nTenant red\n" + redsListing},
		{"save -t red --family 6", "save red 6", "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"},
		{"flush -t red", "list red; list red; flush red", "removed: 5 rules of red\n"},
		{"flush -t red --dry-run", "list red", "would be removed: 5 rules of red\n"},
	} {
		p, status := b.run(strings.Fields(test.args)...)
		if status != 0 || p.stderr.Len() > 0 {
			t.Errorf("%s: status %d, %s", test.args, status, &p.stderr)
		}
		if call := fake.took(); call != test.call {
			t.Errorf("%s asks for %s, want %s", test.args, call, test.call)
		}
		if diff := cmp.Diff(test.out, p.stdout.String()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.args, diff)
		}
		p, status = b.run(append([]string{"--json"}, strings.Fields(test.args)...)...)
		if fake.took() != test.call || status != 0 || !json.Valid(p.stdout.Bytes()) || p.stderr.Len() > 0 {
			t.Errorf("%s --json: %d %s %s", test.args, status, &p.stdout, &p.stderr)
		}
	}
	for _, args := range [][]string{{"-t", "red", "--", add}, {"check", "-t", "red", add}} {
		if p, status := b.run(args...); status != 0 || !strings.HasPrefix(fake.took(), added) {
			t.Errorf("%q: %d %s", args, status, &p.stderr)
		}
	}
	p := dwell(t, "firewall", "--backend", b.url(), "-t", "red", "apply", "--family", "4", "-")
	p.Stdin = strings.NewReader(text)
	if status := p.exit(t); status != 0 || fake.took() != "restore red 4 34 bytes dry=false" {
		t.Errorf("from standard input: %d, %s", status, &p.stderr)
	}
}

func TestFirewallExplain(t *testing.T) {
	fake := &fakeFirewall{}
	b := startFirewall(t, fake, everything())
	const want = `packet   icmp 192.168.0.10 > 203.0.113.8 type 8/0
verdict  drop, by rule 2 of FORWARD: ! -s 10.0.0.0/8 -i br-red -p icmp -j web
place    tc: every word is in the packet
matches  FORWARD 2
`
	for _, args := range [][]string{{"--packet", "icmp 192.168.0.10 > 203.0.113.8"}, {"icmp", "192.168.0.10", ">", "203.0.113.8"}} {
		p, status := b.run(append([]string{"explain", "-t", "red"}, args...)...)
		if call := fake.took(); status != 0 || call != "explain red icmp 192.168.0.10 > 203.0.113.8" {
			t.Errorf("%q: %d, %s, %s", args, status, call, &p.stderr)
		}
		if diff := cmp.Diff(want, p.stdout.String()); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", args, diff)
		}
	}
	for _, test := range []struct {
		e    firewall.Explanation
		want string
	}{
		{firewall.Explanation{Verdict: "pass", Chain: "FORWARD"}, "verdict  pass, by the policy of FORWARD\n"},
		{firewall.Explanation{Verdict: "pass"}, "verdict  pass, because no rule matches\n"},
		{firewall.Explanation{Verdict: "unknown", Place: "iptables"}, "verdict  unknown: iptables alone can tell\n"},
	} {
		if text := explanationText(&test.e); !strings.Contains(text, test.want) {
			t.Errorf("no %q in\n%s", test.want, text)
		}
	}
}

// What is refused is told with its witness on standard error, and the status is 1.
func TestFirewallRefused(t *testing.T) {
	refusal := firewall.Answer{
		Place: firewall.Refused, Reason: "the table nat is not the tenant's alone", Command: "-A POSTROUTING -j MASQUERADE",
		Witness: "icmp 192.0.2.1 > 192.0.2.2 in br-blue", Whose: "blue",
	}
	fake := &fakeFirewall{answer: &refusal, restored: &firewall.Restored{Answers: slices.Repeat([]firewall.Answer{refusal}, 22)}}
	b := startFirewall(t, fake, everything())
	const lines = `refused: the table nat is not the tenant's alone
  rule     -A POSTROUTING -j MASQUERADE
  witness  icmp 192.0.2.1 > 192.0.2.2 in br-blue
  whose    blue
`
	p, status := b.run("-t", "red", "--", "iptables", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
	if diff := cmp.Diff("dwell: "+lines, p.stderr.String()); diff != "" || status != 1 || p.stdout.Len() > 0 {
		t.Errorf("status %d, %s (-want +got)\n%s", status, &p.stdout, diff)
	}
	checkEachLine(t, p.stderr.String())
	file := filepath.Join(t.TempDir(), "rules.v4")
	if err := os.WriteFile(file, []byte("*nat"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, status = b.run("apply", "-t", "red", file)
	want := "dwell: refused: nothing was changed, because 22 rules cannot be confined to the tenant\n" + strings.Repeat("  "+lines, 20) + "  and 2 more (--json shows all)\n"
	if diff := cmp.Diff(want, p.stderr.String()); diff != "" || status != 1 || p.stdout.Len() > 0 {
		t.Errorf("status %d, %s (-want +got)\n%s", status, &p.stdout, diff)
	}
	for _, args := range [][]string{{"-t", "red", "--json", "iptables", "-F"}, {"apply", "-t", "red", "--json", file}} {
		if p, status := b.run(args...); status != 1 || !json.Valid(p.stdout.Bytes()) || !strings.Contains(p.stdout.String(), `"whose": "blue"`) || p.stderr.Len() > 0 {
			t.Errorf("%q: %d, %s, %s", args, status, &p.stdout, &p.stderr)
		}
	}
}

// What is printed by -L, -S and -C is printed as it is.
func TestFirewallOutput(t *testing.T) {
	b := startFirewall(t, &fakeFirewall{answer: &firewall.Answer{Place: firewall.TC, Reason: "x", Output: "-P FORWARD ACCEPT\n-A FORWARD -j DROP"}}, everything())
	if p, status := b.run("-t", "red", "iptables", "-S"); status != 0 || p.stdout.String() != "-P FORWARD ACCEPT\n-A FORWARD -j DROP\n" {
		t.Errorf("%d %q", status, &p.stdout)
	}
}

// What is not understood is shown with the word marked, and the status is 2.
func TestFirewallSyntax(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.v4")
	if err := os.WriteFile(file, []byte("*filter\n-A FORWARD -s\t192.168.0.300 -j DROP\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		err  error
		want string
	}{
		{
			[]string{"iptables", "-A", "FORWARD", "-m", "comment", "--comment", "ü b", "-s", "192.168.0.300"},
			&iptables.SyntaxError{Word: 8, Reason: "192.168.0.300 is not a valid address"},
			"dwell: 192.168.0.300 is not a valid address\n  iptables -A FORWARD -m comment --comment 'ü b' -s 192.168.0.300\n                                                    ^^^^^^^^^^^^^\n",
		},
		{
			[]string{"iptables", "-A"},
			&iptables.SyntaxError{Word: 2, Reason: "the chain is missing"},
			"dwell: the chain is missing\n  iptables -A\n              ^\n",
		},
		{
			[]string{"apply", file},
			&iptables.SyntaxError{Line: 2, Word: 3, Column: 14, Text: "192.168.0.300", Reason: "192.168.0.300 is not a valid address"},
			"dwell: line 2: 192.168.0.300 is not a valid address\n  -A FORWARD -s\t192.168.0.300 -j DROP\n               \t^^^^^^^^^^^^^\n",
		},
		{
			[]string{"explain", "--packet", "icmp 192.168.0.10 > 203.0.113"},
			&header.WordError{Index: 3, Text: "203.0.113", Message: "is not an address"},
			"dwell: word 4 of the packet, \"203.0.113\", is not an address\n  icmp 192.168.0.10 > 203.0.113\n                      ^^^^^^^^^\n",
		},
		{[]string{"iptables", "-X"}, errors.New("the chain is not empty"), "dwell: the chain is not empty\n"},
	} {
		b := startFirewall(t, &fakeFirewall{err: &firewall.CommandError{Err: test.err}}, everything())
		p, status := b.run(append([]string{"-t", "red"}, test.args...)...)
		if diff := cmp.Diff(test.want, p.stderr.String()); diff != "" || status != 2 || p.stdout.Len() > 0 {
			t.Errorf("%q: status %d, %s (-want +got)\n%s", test.args, status, &p.stdout, diff)
		}
		checkEachLine(t, p.stderr.String())
	}
}

// A command in one argument is split, and what is wrong in it is marked.
func TestFirewallSyntaxOfOneArgument(t *testing.T) {
	fake := &fakeFirewall{}
	b := startFirewall(t, fake, everything())
	p, status := b.run("-t", "red", "iptables -A FORWARD  -s 192.168.0.300 -j DROP")
	if text := p.stderr.String(); status != 2 || fake.took() != "" || !strings.HasSuffix(text, "\n  iptables -A FORWARD  -s 192.168.0.300 -j DROP\n                          ^^^^^^^^^^^^^\n") {
		t.Errorf("%d %s", status, text)
	}
}

// Errors say what to do, and have the right status.
func TestFirewallErrors(t *testing.T) {
	b := startFirewall(t, &fakeFirewall{err: errors.New("no room for the map")}, everything())
	off := startAPI(t, everything())
	red := startFirewall(t, &fakeFirewall{answer: &firewall.Answer{}}, agentapi.Policy{Tenants: map[string]agentapi.Access{"red": {UIDs: []uint32{uint32(os.Getuid())}}}})
	file := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte("*filter\nCOMMIT\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		on     *apiOf
		args   string
		status int
		want   string
	}{
		{b, "iptables -F", 2, "whose firewall?"},
		{b, "-t red/ iptables -F", 2, "--tenant: "},
		{b, "--frob iptables -F", 2, "unknown flag"},
		{b, "list -t red more", 2, "unknown command"},
		{b, "apply -t red", 2, "accepts 1 arg"},
		{b, "apply -t red /nowhere", 2, "no such file"},
		{b, "apply -t red /dev/null", 1, "is empty"},
		{b, "apply -t red " + file, 2, "--family 4 or 6"},
		{b, "apply -t red --family 5 " + file, 2, "--family is 4 or 6"},
		{b, "explain -t red", 2, "which packet?"},
		{b, "explain -t red --packet icmp 192.0.2.1", 2, "Quote the packet"},
		{b, "list -t red --family 5", 2, "--family is 4 or 6"},
		{b, "-t red --cert x iptables -F", 2, "--backend https"},
		{b, "-t red iptables -F", 1, "dwell: no room for the map"},
		{b, "-t green iptables -F", 1, `no tenant "green"; you may see: blue, red`},
		{off, "-t red list", 1, "keeps no firewall"},
		{red, "-t blue list", 1, `no tenant "blue", or you may not see it`},
		{red, "-t red --affect-others iptables -t nat -F", 1, "only an operator"},
	} {
		p, status := test.on.run(strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(p.stderr.String(), test.want) || p.stdout.Len() > 0 {
			t.Errorf("%s: status %d, %s %s", test.args, status, &p.stdout, &p.stderr)
		}
		checkEachLine(t, p.stderr.String())
	}
}

// Ctrl-C ends it, and says how to find out what became of the command.
func TestFirewallInterrupted(t *testing.T) {
	fake := &fakeFirewall{began: make(chan struct{})}
	b := startFirewall(t, fake, everything())
	p := dwell(t, "firewall", "--backend", b.url(), "-t", "red", "iptables", "-F")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	<-fake.began
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil || p.ProcessState.ExitCode() != 1 || !strings.Contains(p.stderr.String(), "interrupted: dwell firewall list shows") {
		t.Errorf("%v: %s", err, &p.stderr)
	}
}

func TestFirewallCompletesTenants(t *testing.T) {
	b := startFirewall(t, &fakeFirewall{}, everything())
	p := dwell(t, "__complete", "firewall", "--backend", b.url(), "--tenant", "r")
	if status := p.exit(t); status != 0 || !strings.HasPrefix(p.stdout.String(), "red\n:4") {
		t.Errorf("%d %s %s", status, &p.stdout, &p.stderr)
	}
}

func TestGuessFamily(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       int
	}{
		{"rules.v4", "", 4},
		{"a.v6", "-p icmp6", 6},
		{"a.v4", "-p icmpv6", 0},
		{"-", "# Generated by iptables-save v1.8.9 on\n", 4},
		{"-", "# Generated by ip6tables-save v1.8.9 on\n", 6},
		{"-", "-A FORWARD -s 10.0.0.0/8 -j DROP", 4},
		{"-", "-A FORWARD ! -d 2001:db8::/32,2001:db8:1::1 -j DROP", 6},
		{"-", "-A FORWARD -p ipv6-icmp -j DROP", 6},
		{"-", "# of 10.0.0.1\n-A FORWARD -m comment --comment ::1 -p icmp -j DROP", 0},
		{"rules", "-A FORWARD -p tcp --dport 22 -j DROP", 0},
	} {
		if got, err := guessFamily(test.name, test.text); got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("%s %q: %d, %v", test.name, test.text, got, err)
		}
	}
}

func TestFirewallNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 99_999: "99999", 100_000: "100K", 9_999_499: "9999K", 9_999_500: "10M", 12_345_678_901: "12G", 1 << 63: "9223372T"} {
		if got := (listOptions{}).number(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := (listOptions{exact: true}).number(123_456_789); got != "123456789" {
		t.Error(got)
	}
}
