// SPDX-License-Identifier: Apache-2.0

package netfilter_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
)

// Both kinds take what is written, and print it as it was written. Afterwards nothing is left.
func TestApplyAndRemove(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		for _, program := range []string{"iptables", "ip6tables"} {
			w.run(program, "-A", "FORWARD", "-i", "eth7", "-j", "LOG")
			w.run(program, "-N", "dwelling")
		}
		before := w.saved()
		for _, family := range families() {
			l := full(family)
			w.apply(l)
			got := w.installed(family)
			if got.Jump != 1 || len(got.Before) != 0 {
				t.Errorf("the jump is at %d, after %q", got.Jump, got.Before)
			}
			want := map[string][]string{}
			for _, b := range netfilter.Blocks(t, l) {
				want[b.Name] = b.Lines
			}
			want["dwell"] = []string{
				"-i br-red -j dwell-red-from", "-o br-red -j dwell-red-to",
				"-i tap-red-1 -j dwell-red-from", "-o tap-red-1 -j dwell-red-to",
			}
			delete(got.Chains, "dwelling")
			if diff := cmp.Diff(want, got.Chains); diff != "" {
				t.Errorf("chains (-written +installed):\n%s", diff)
			}
			blue := full(family)
			blue.ID, blue.Number, blue.Devices = "blue-from", 5, []string{"br-blue"}
			w.apply(blue)
			if err := w.Remove(t.Context(), family, "blue-from", 5); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got.Chains["dwell"], w.installed(family).Chains["dwell"]); diff != "" {
				t.Errorf("red's jumps after blue was removed (-before +after):\n%s", diff)
			}
		}
		for _, family := range families() {
			for range 2 { // the second time there is nothing
				if err := w.Remove(t.Context(), family, "red", 0xabcdef01); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(before, w.saved()); diff != "" {
			t.Errorf("iptables-save (-before +after):\n%s", diff)
		}
	})
}

// No text of the tenant's is taken for a rule's ID.
func TestDeceptive(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		l := full(header.V4)
		l.Chains = []netfilter.Chain{{Name: "FORWARD", Rules: []netfilter.Rule{
			{ID: 1, Matches: "-m comment --comment \"dwell:9\"", Target: "LOG", Options: "--log-prefix -j"},
			{ID: 2, Matches: "-m comment --comment \"-m comment --comment dwell:9 -j\"", Target: "LOG", Options: "--log-prefix \"--comment dwell:9 -j\""},
			{ID: 3, Matches: "-m comment --comment \"dwell:9\" -m comment --comment -j"},
		}}}
		w.apply(l)
		got := w.installed(header.V4).Tenant("red", 0xabcdef01)
		if want := map[uint32]netfilter.Count{0: {}, 1: {}, 2: {}, 3: {}}; !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

// A chain that is no longer in the layout goes, and a rule that stays keeps its count.
func TestApplyAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		l := full(header.V4)
		l.Chains[0].Rules[0].Count = netfilter.Count{Packets: 7, Bytes: 700}
		l.Chains[0].Rules[6].Count = netfilter.Count{Packets: 8, Bytes: 800}
		l.PolicyCount = netfilter.Count{Packets: 9, Bytes: 900}
		w.apply(l)
		next := full(header.V4)
		next.Chains[0].Rules = next.Chains[0].Rules[:1]
		next.Chains[0].Rules = append(next.Chains[0].Rules, netfilter.Rule{ID: 70, Target: "DROP", Count: netfilter.Count{Packets: 1, Bytes: 2}})
		next.Chains = next.Chains[:1]
		w.apply(next)
		got := w.installed(header.V4)
		want := map[uint32]netfilter.Count{0: {Packets: 9, Bytes: 900}, 1: {Packets: 7, Bytes: 700}, 70: {Packets: 1, Bytes: 2}}
		if diff := cmp.Diff(want, got.Tenant("red", 0xabcdef01)); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		for chain := range got.Chains {
			if strings.HasPrefix(chain, "dwell-red.") || strings.HasPrefix(chain, "dwell-red-g") || chain == "dwell-red-end" {
				t.Errorf("chain %s is left", chain)
			}
		}
		if got.Tenant("blue", 1) != nil {
			t.Error("blue has counts")
		}
	})
}

// Somebody inserts before dwell's jump, flushes, edits or deletes: it is noticed and repaired.
func TestDrift(t *testing.T) {
	edits := map[string]struct {
		edit [][]string
		says string
	}{
		"insert": {[][]string{{"-I", "FORWARD", "-i", "docker0", "-j", "ACCEPT"}}, "rule 2 of FORWARD: somebody inserted \"-i docker0 -j ACCEPT\""},
		"flush":  {[][]string{{"-F"}}, "the jump from FORWARD to dwell is missing"},
		"delete": {[][]string{{"-D", "FORWARD", "-j", "dwell"}}, "the jump from FORWARD to dwell is missing"},
		"twice":  {[][]string{{"-A", "FORWARD", "-j", "dwell"}}, "jumps to dwell 2 times"},
		"chain":  {[][]string{{"-I", "dwell-red", "-j", "ACCEPT"}}, "chain dwell-red has \"-j ACCEPT\" as rule 1"},
		"append": {[][]string{{"-A", "dwell-red.2", "-j", "ACCEPT"}}, "\"-j ACCEPT\" is not dwell's"},
		"before": {[][]string{{"-I", "dwell", "-j", "ACCEPT"}}, "chain dwell has \"-j ACCEPT\", which is not dwell's"},
		"jump":   {[][]string{{"-D", "dwell", "1"}}, "the jumps from dwell to dwell-red differ"},
		"other":  {[][]string{{"-N", "dwell-red.9"}}, "chain dwell-red.9 is not dwell's"},
		"all":    {[][]string{{"-F"}, {"-X"}}, "chain dwell-red is missing"},
	}
	eachKind(t, func(t *testing.T, w *world) {
		l := full(header.V4)
		want, err := w.Expect(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		for name, edit := range edits {
			w.apply(l)
			if drift := w.installed(header.V4).Drift(want, "red", 0xabcdef01); drift != nil {
				t.Fatalf("%s: drift before: %q", name, drift)
			}
			for _, words := range edit.edit {
				w.run("iptables", words...)
			}
			drift := w.installed(header.V4).Drift(want, "red", 0xabcdef01)
			if !strings.Contains(strings.Join(drift, "\n"), edit.says) {
				t.Errorf("%s: drift is %q, want %q", name, drift, edit.says)
			}
		}
		if w.Kind() == netfilter.NFT {
			w.apply(l)
			w.run("nft", "flush", "ruleset")
			if drift := w.installed(header.V4).Drift(want, "red", 0xabcdef01); len(drift) < 5 {
				t.Errorf("drift after nft flush ruleset: %q", drift)
			}
			w.apply(l)
		}
	})
}

// The jump comes back to the first place, and the rest stays as it is.
func TestRaise(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		if err := w.Raise(t.Context(), header.V4); err == nil {
			t.Error("the jump was made to a chain that is not there")
		}
		w.apply(full(header.V4))
		before := w.installed(header.V4)
		w.run("iptables", "-I", "FORWARD", "-i", "docker0", "-j", "DROP")
		for range 2 {
			if err := w.Raise(t.Context(), header.V4); err != nil {
				t.Fatal(err)
			}
		}
		after := w.installed(header.V4)
		if after.Jump != 1 {
			t.Errorf("the jump is rule %d", after.Jump)
		}
		if diff := cmp.Diff(before.Chains, after.Chains); diff != "" {
			t.Errorf("chains (-before +after):\n%s", diff)
		}
	})
}

// 10,000 rules are put in, read and taken out within seconds.
func TestManyRules(t *testing.T) {
	for _, kind := range []netfilter.Kind{netfilter.Legacy, netfilter.NFT} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, kind)
			l := many(10000)
			for _, what := range []string{"first", "again"} {
				start := time.Now()
				w.apply(l)
				t.Logf("%s apply: %v", what, time.Since(start))
			}
			start := time.Now()
			if n := len(w.installed(header.V4).Tenant("red", 7)); n != 10001 {
				t.Errorf("%d counts", n)
			}
			t.Logf("installed: %v", time.Since(start))
			start = time.Now()
			if err := w.Remove(t.Context(), header.V4, "red", 7); err != nil {
				t.Fatal(err)
			}
			t.Logf("remove: %v", time.Since(start))
			if out := w.run("iptables-save"); strings.Contains(out, "dwell") {
				t.Errorf("left: %.200s", out)
			}
		})
	}
}

// A name fits, tells tenants apart, and is not another's chain.
func TestChainName(t *testing.T) {
	names := map[string]string{}
	ids := []string{
		"red", "red-from", "red-to", "red-end", "red-g1", "red.1", "r.d", "0123abcd", "a-name-that-fits", "a-name-that-fitss",
		strings.Repeat("x", 63), "Red", "red_", "red-", "red-gg",
	}
	for n, id := range ids {
		name := netfilter.ChainName(id, uint32(n))
		if len(name)+6 > 28 {
			t.Errorf("%s is too long", name)
		}
		if other, ok := names[name]; ok {
			t.Errorf("%s and %s have chain %s", id, other, name)
		}
		names[name] = id
		for other := range names {
			if other != name && (netfilter.Owns(name, other) || netfilter.Owns(other, name)) {
				t.Errorf("%s and %s overlap", name, other)
			}
		}
	}
	if got, want := netfilter.ChainName("red", 1), "dwell-red"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := netfilter.ChainName("red-to", 10), fmt.Sprintf("dwell-%08x", 10); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
