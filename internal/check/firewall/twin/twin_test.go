// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"strings"
	"testing"
)

func newPair(t *testing.T, backend string) *Pair {
	t.Helper()
	var n [2]*Network
	for i, name := range []string{"dwelltest-twin-a", "dwelltest-twin-b"} {
		var err error
		if n[i], err = NewNetwork(name + "-" + backend); err != nil {
			t.Fatal(err)
		}
	}
	p := &Pair{
		Reference: NewTwin(n[0], backend, NewReference(n[0], backend)),
		Subject:   NewTwin(n[1], backend, NewReference(n[1], backend)),
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Twins with the same rules are equal, and what is sent is not all lost or all passed.
func TestTwinsAreEqual(t *testing.T) {
	for _, backend := range Backends {
		t.Run(backend, func(t *testing.T) {
			p := newPair(t, backend)
			sent, delivered, undetermined := 0, 0, 0
			for seed := range uint64(12) {
				c := NewCase(seed, 300)
				r, err := p.Run(c)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if r.Difference != "" {
					t.Fatalf("seed %d: %s\n%s", seed, r.Difference, c.Rules.Tenant())
				}
				if r.Undetermined {
					undetermined++
				}
				sent, delivered = sent+len(c.Steps), delivered+r.Want.Delivered()
			}
			t.Logf("%d of %d came out; %d cases undetermined", delivered, sent, undetermined)
			if delivered < sent/5 || delivered > sent*9/10 {
				t.Errorf("%d of %d frames came out: the cases decide nothing", delivered, sent)
			}
		})
	}
}

// A twin that lacks one rule is found, and the case that is left is small.
func TestDifferenceIsFoundAndShrunk(t *testing.T) {
	p := newPair(t, "legacy")
	p.Subject.Subject = &forgetful{p.Subject.Subject}
	c := NewCase(1, 600)
	c.Rules = &Rules{Policy: "ACCEPT", Lines: []string{"-A FORWARD -p udp -m udp --dport 1", "-A FORWARD -p tcp -m tcp --dport 22:500 -j DROP"}}
	differs := func(c *Case) bool {
		r, err := p.Run(c)
		return err == nil && r.Difference != ""
	}
	if !differs(c) {
		t.Fatal("the twins are equal, but the one lacks a rule")
	}
	small := Shrink(c, differs)
	if len(small.Steps) != 1 || len(small.Rules.Lines) != 1 {
		t.Errorf("shrunk to:\n%s", small)
	}
}

// forgetful leaves out rules that drop.
type forgetful struct{ Subject }

func (f *forgetful) Apply(family int, rules string) error {
	return f.Subject.Apply(family, strings.ReplaceAll(rules, "-j DROP", ""))
}

// run runs a trap on both twins.
func (tr *trap) run(t *testing.T, p *Pair) {
	t.Helper()
	rules := &Rules{Policy: "ACCEPT", Operator: tr.operator}
	if tr.policy != "" {
		rules.Policy = tr.policy
	}
	for _, l := range tr.rules {
		if name, ok := strings.CutPrefix(l, ":"); ok {
			rules.Chains = append(rules.Chains, name)
		} else {
			rules.Lines = append(rules.Lines, l)
		}
	}
	for _, n := range []*Network{p.Reference.Network, p.Subject.Network} {
		if tr.before != nil {
			tr.before(t, n)
			defer tr.after(t, n)
		}
	}
	r, err := p.Run(&Case{Rules: rules, Steps: tr.steps})
	if err != nil {
		t.Fatal(err)
	}
	if r.Difference != "" {
		t.Error(r.Difference)
	}
	var out [ends]int
	for i := range out {
		out[i] = len(r.Want.Out[i])
	}
	want := tr.out
	if tr.nft != nil && p.Reference.tables.backend == "nft" {
		want = *tr.nft
	}
	if out != want {
		t.Errorf("out of the devices came %v, want %v: %q", out, want, r.Want.Out)
	}
}

// Every trap is one: iptables does what the table says.
func TestTrapsAreTrue(t *testing.T) {
	for _, backend := range Backends {
		p := newPair(t, backend)
		for _, tr := range traps() {
			t.Run(backend+"/"+tr.name, func(t *testing.T) { tr.run(t, p) })
		}
	}
}
