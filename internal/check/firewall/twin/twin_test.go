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
