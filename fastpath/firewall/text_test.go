// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// anyText draws rules with all that a file has to keep.
func anyText(t *rapid.T) *rulesText {
	f := rapid.SampledFrom(families()).Draw(t, "family")
	text := &rulesText{tenant: "red", chains: iptables.NewChains(f), next: 1}
	program := map[header.Family]string{header.V4: "iptables", header.V6: "ip6tables"}[f]
	do := func(words ...string) {
		cmd, err := iptables.ParseCommand(append([]string{program}, words...))
		if err != nil {
			t.Fatal(err)
		}
		if err := text.chains.Apply(cmd); err != nil {
			t.Fatal(err)
		}
	}
	chains := []string{base}
	for i := range rapid.IntRange(0, 2).Draw(t, "chains") {
		chains = append(chains, fmt.Sprintf("c%d", i))
		do("-N", chains[i+1])
	}
	do("-P", base, rapid.SampledFrom([]string{"ACCEPT", "DROP"}).Draw(t, "policy"))
	for range rapid.IntRange(0, 12).Draw(t, "rules") {
		words := []string{"-A", rapid.SampledFrom(chains).Draw(t, "chain")}
		words = append(words, rapid.SampledFrom([][]string{
			{"-j", "DROP"},
			{},
			{"-p", "tcp", "--dport", "22"},
			{"-m", "comment", "--comment", "# rule 7", "-j", "ACCEPT"},
			{"-m", "comment", "--comment", "a \" quote\\ -A FORWARD", "-j", "RETURN"},
			{"-m", "limit", "--limit", "3/sec", "-j", "LOG", "--log-prefix", "-A c0 "},
		}).Draw(t, "rule")...)
		do(words...)
	}
	text.next = rapid.Uint32Range(1, 1000).Draw(t, "next")
	text.give()
	return text
}

// What is written is read back: rules, their order, IDs, the next ID and counters.
func TestFileIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := anyText(t)
		counts := map[uint32]kindsOfCount{}
		counted := func(id uint32) kindsOfCount {
			if _, ok := counts[id]; !ok {
				n := rapid.Uint64().Draw(t, "packets")
				counts[id] = kindsOfCount{
					total:  counters{Packets: n, Bytes: rapid.Uint64().Draw(t, "bytes")},
					tables: counters{Packets: rapid.SampledFrom([]uint64{0, n}).Draw(t, "in iptables")},
				}
			}
			return counts[id]
		}
		file := text.render(counted)
		back, err := parseText("red", text.chains.Family, file)
		if err != nil {
			t.Fatalf("%v\n%s", err, file)
		}
		if again := back.render(func(id uint32) kindsOfCount { return back.counts[id] }); again != file {
			t.Errorf("written %s\nread %s", file, again)
		}
		if len(back.give()) > 0 || back.next != text.next {
			t.Errorf("IDs are lost: %s", file)
		}
	})
}

// A person may add, move and copy rules in a file: no ID is there twice.
func TestEditedFile(t *testing.T) {
	const file = `# dwell firewall rules 1; tenant red; IPv4; next ID 5
*filter
:FORWARD DROP [1:2]
-A FORWARD -p udp -j ACCEPT
# rule 3
[7:8] -A FORWARD -p tcp -j ACCEPT

# rule 3
-A FORWARD -p icmp -j ACCEPT
# rule 99
-A FORWARD -p sctp -j ACCEPT
COMMIT
`
	text, err := parseText("red", header.V4, file)
	if err != nil {
		t.Fatal(err)
	}
	text.give()
	var got []string
	for _, r := range text.chains.Get(base).Rules {
		got = append(got, fmt.Sprint(r.ID))
	}
	if want := "5 3 6 7"; strings.Join(got, " ") != want {
		t.Errorf("IDs %v, not %s", got, want)
	}
	if c := text.counts[3].total; c.Packets != 7 || c.Bytes != 8 {
		t.Errorf("counted %+v", c)
	}
	if c := text.counts[0].total; c.Packets != 1 || c.Bytes != 2 {
		t.Errorf("the policy counted %+v", c)
	}
}

// A file of somebody else's, or a part of one, is not taken, and never makes the reader panic.
func TestStrangeFiles(t *testing.T) {
	const good = "# dwell firewall rules 1; tenant red; IPv4; next ID 5\n*filter\n:FORWARD DROP [1:2]\n# rule 3\n-A FORWARD -p udp -j ACCEPT\nCOMMIT\n"
	for n := range len(good) - 1 {
		if _, err := parseText("red", header.V4, good[:n]); err == nil {
			t.Errorf("taken though cut off: %q", good[:n])
		}
	}
	for _, change := range [][2]string{{"rules 1", "rules 2"}, {"red", "blue"}, {"IPv4", "IPv6"}, {"ID 5", "ID 99999999999"}, {"*filter", "*nat"}, {"-p udp", "-p nonsense"}} {
		if _, err := parseText("red", header.V4, strings.Replace(good, change[0], change[1], 1)); err == nil {
			t.Errorf("taken with %s", change[1])
		}
	}
}
