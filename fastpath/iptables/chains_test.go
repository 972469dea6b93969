// SPDX-License-Identifier: Apache-2.0

package iptables_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// command parses "iptables " and a line.
func command(t *testing.T, line string) *iptables.Command {
	t.Helper()
	c, err := iptables.ParseLine("iptables " + line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return c
}

// listed returns what -S prints.
func listed(t *testing.T, c *iptables.Chains) string {
	t.Helper()
	text, err := c.Print(command(t, "-S"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEdits(t *testing.T) {
	c := iptables.NewChains(header.V4)
	for _, step := range []struct {
		line string
		want string // what -S prints, or, with fails, the error
	}{
		{"-N own", "-P FORWARD ACCEPT\n-N own\n"},
		{"-N own", "fails: Chain already exists."},
		{"-N INPUT", "fails: Chain already exists."},
		{"-A FORWARD -p tcp --dport 22 -j own", "-P FORWARD ACCEPT\n-N own\n-A FORWARD -p tcp -m tcp --dport 22 -j own\n"},
		{"-X own", "fails: Too many links."},
		{"-A own -j DROP", ""},
		{"-X own", "fails: Directory not empty."},
		{"-A own -j own", "fails: Too many levels of symbolic links."},
		{"-A own -j FORWARD", "fails: Invalid argument."},
		{"-A FORWARD -j DORP", "fails: No chain/target/match by that name. Did you mean DROP?"},
		{"-A INPUT -j DROP", "fails: No chain/target/match by that name. A tenant has no chain INPUT"},
		{"-I FORWARD 3 -j ACCEPT", "fails: Index of insertion too big. The chain has 1 rule."},
		{"-I FORWARD 2 -s 10.0.0.1,10.0.0.2", "-P FORWARD ACCEPT\n-N own\n-A FORWARD -p tcp -m tcp --dport 22 -j own\n-A FORWARD -s 10.0.0.2/32\n-A FORWARD -s 10.0.0.1/32\n-A own -j DROP\n"},
		{"-R FORWARD 4 -j ACCEPT", "fails: Index of replacement too big."},
		{"-R FORWARD 3 -j ACCEPT", ""},
		{"-D FORWARD -s 10.0.0.3", "fails: Bad rule (does a matching rule exist in that chain?)."},
		{"-C FORWARD -p 6 -m tcp --destination-port ssh -j own", ""},
		{"-C FORWARD -p 6 --dport 23 -j own", "fails: Bad rule"},
		{"-D FORWARD -s 10.0.0.2/255.255.255.255", ""},
		{"-D FORWARD 3", "fails: Index of deletion too big."},
		{"-E own mine", "-P FORWARD ACCEPT\n-N mine\n-A FORWARD -p tcp -m tcp --dport 22 -j mine\n-A FORWARD -j ACCEPT\n-A mine -j DROP\n"},
		{"-E FORWARD x", "fails: Invalid argument."},
		{"-P mine DROP", "fails: Bad built-in chain name."},
		{"-P FORWARD DROP", ""},
		{"-F mine", ""},
		{"-D FORWARD 1", "-P FORWARD DROP\n-N mine\n-A FORWARD -j ACCEPT\n"},
		{"-X", "-P FORWARD DROP\n-A FORWARD -j ACCEPT\n"},
		{"-F", "-P FORWARD DROP\n"},
		{"-t nat -F", "fails: Table does not exist."},
	} {
		before := listed(t, c)
		err := c.Apply(command(t, step.line))
		want, fails := strings.CutPrefix(step.want, "fails: ")
		var edit *iptables.EditError
		switch {
		case fails && (!errors.As(err, &edit) || !strings.HasPrefix(err.Error(), want) || edit.Hint == ""):
			t.Errorf("%s: %v, want %s", step.line, err, want)
		case !fails && err != nil:
			t.Errorf("%s: %v", step.line, err)
		case fails && listed(t, c) != before:
			t.Errorf("%s failed and changed something", step.line)
		case !fails && want != "" && listed(t, c) != want:
			t.Errorf("%s:\n%s", step.line, cmp.Diff(want, listed(t, c)))
		}
	}
}

func TestRestoreKeepsIDs(t *testing.T) {
	c := iptables.NewChains(header.V4)
	for _, l := range []string{"-A FORWARD -s 10.0.0.1 -j DROP", "-A FORWARD -s 10.0.0.2 -j DROP", "-A FORWARD -s 10.0.0.1 -j DROP"} {
		if err := c.Apply(command(t, l)); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range c.Get("FORWARD").Rules {
		r.ID = uint32(i + 1)
	}
	s, err := iptables.ParseSave(header.V4, "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n-A FORWARD -s 10.0.0.2/32 -j DROP\n-A FORWARD -s 10.0.0.1 -j DROP\n-I FORWARD -s 10.0.0.1 -j DROP\n-A FORWARD -s 10.0.0.1 -j DROP\nCOMMIT\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Restore(s); err != nil {
		t.Fatal(err)
	}
	var ids []uint32
	for _, r := range c.Get("FORWARD").Rules {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]uint32{1, 2, 3, 0}, ids); diff != "" {
		t.Error(diff)
	}
	before := listed(t, c)
	for _, bad := range []string{
		"*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n",
		"*filter\n:INPUT DROP [0:0]\nCOMMIT\n",
		"*filter\n-A OUTPUT -j ACCEPT\nCOMMIT\n",
		"*filter\n-A FORWARD -j nowhere\nCOMMIT\n",
		"*filter\n-D FORWARD 1\nCOMMIT\n",
		"*raw\n-F\nCOMMIT\n",
	} {
		s, err := iptables.ParseSave(header.V4, bad)
		if err != nil {
			t.Fatal(err)
		}
		var edit *iptables.EditError
		if err := c.Restore(s); !errors.As(err, &edit) || listed(t, c) != before {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLowerOfChains(t *testing.T) {
	c := iptables.NewChains(header.V4)
	for i, l := range []string{"-N own", "-P FORWARD DROP", "-A FORWARD -p tcp -j own", "-A own -m limit --limit 1/s -j ACCEPT"} {
		if err := c.Apply(command(t, l)); err != nil {
			t.Fatal(err)
		}
		for _, ch := range c.List {
			for _, r := range ch.Rules {
				if r.ID == 0 {
					r.ID = uint32(i)
				}
			}
		}
	}
	set, reasons := c.Lower(devices)
	if err := set.Check(); err != nil {
		t.Fatal(err)
	}
	if set.Policy != ruleset.Drop || set.Base != "FORWARD" || len(set.Chains) != 2 || set.Chains["FORWARD"].Rules[0].Target != "own" {
		t.Errorf("set is %+v", set)
	}
	if diff := cmp.Diff(map[uint32]string{3: "only iptables can match limit"}, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestListAsIptablesPrintsIt(t *testing.T) {
	c := iptables.NewChains(header.V4)
	for _, l := range []string{"-N own", "-A FORWARD -s 10.0.0.1 ! -d 10.0.0.0/8 -i eth0 -p tcp --dport 22 -j own", "-A own -m comment --comment hi -j DROP"} {
		if err := c.Apply(command(t, l)); err != nil {
			t.Fatal(err)
		}
	}
	counters := func(_ string, id uint32) iptables.Counters {
		return iptables.Counters{Packets: 123456, Bytes: uint64(id) + 7}
	}
	for _, check := range []struct{ line, want string }{
		{
			"-L -n",
			"Chain FORWARD (policy ACCEPT)\n" +
				"target     prot opt source               destination         \n" +
				"own        tcp  --  10.0.0.1            !10.0.0.0/8           tcp dpt:22\n" +
				"\nChain own (1 references)\n" +
				"target     prot opt source               destination         \n" +
				"DROP       all  --  0.0.0.0/0            0.0.0.0/0            /* hi */\n",
		},
		{
			"-vnL FORWARD --line-numbers",
			"Chain FORWARD (policy ACCEPT 123K packets, 7 bytes)\n" +
				"num   pkts bytes target     prot opt in     out     source               destination         \n" +
				"1     123K     7 own        tcp  --  eth0   *       10.0.0.1            !10.0.0.0/8           tcp dpt:22\n",
		},
		{"-S FORWARD -v", "-P FORWARD ACCEPT -c 123456 7\n-A FORWARD -s 10.0.0.1/32 ! -d 10.0.0.0/8 -i eth0 -p tcp -m tcp --dport 22 -c 123456 7 -j own\n"},
		{"-S own 1", "-A own -m comment --comment hi -j DROP\n"},
	} {
		got, err := c.Print(command(t, check.line), counters)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(check.want, got); diff != "" {
			t.Errorf("%s:\n%s", check.line, diff)
		}
	}
	if _, err := c.Print(command(t, "-L nowhere"), nil); err == nil {
		t.Error("lists a chain that is not there")
	}
}
