// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"sort"

	"github.com/dwelltrace/dwell/internal/netns"
)

// hostOnly finds rules that refer to what only the host's namespace has, such as an IP set.
var hostOnly = regexp.MustCompile(`(^| )-m (set|nfacct|cgroup)( |$)`)

func refersToHost(r *Rule) bool {
	return hostOnly.MatchString(r.Matches) || r.Target == "SET" || r.Target == "IDLETIMER"
}

// Test puts the rules in force in a namespace of its own, to see whether iptables and kernel
// accept them. Errors are [*RuleError], [*BitError] and others. Rules that refer to what only
// the host's namespace has, such as an IP set, are left out, and so are [Layout.Programs].
func (t *Tables) Test(ctx context.Context, l *Layout) error {
	tested := l.without(refersToHost)
	tested.Programs = Programs{}
	return t.inScratch(func(scratch *Tables) error {
		err := scratch.first(ctx, tested)
		if r := new(RuleError); errors.As(err, &r) && r.ID == 0 {
			return scratch.blame(ctx, tested, r)
		}
		return err
	})
}

// first puts the rules where there are none.
func (t *Tables) first(ctx context.Context, l *Layout) error {
	p, err := t.toolsOf(l.Family)
	if err != nil {
		return err
	}
	s, err := l.apply(&Installed{Family: l.Family})
	if err != nil {
		return err
	}
	return t.restore(ctx, p.restore, s)
}

// Expect returns what [Tables.Installed] would be after [Tables.Apply], for
// [Installed.Drift]. It finds out in a namespace of its own, and so cannot for rules that
// refer to what only the host's namespace has, such as an IP set: for these keep what
// [Tables.Installed] returns after [Tables.Apply].
func (t *Tables) Expect(ctx context.Context, l *Layout) (*Installed, error) {
	var got *Installed
	err := t.inScratch(func(scratch *Tables) (err error) {
		if err = scratch.first(ctx, l); err == nil {
			got, err = scratch.Installed(ctx, l.Family)
		}
		return err
	})
	return got, err
}

// inScratch calls fn with the same programs in a namespace that is deleted afterwards.
func (t *Tables) inScratch(fn func(*Tables) error) error {
	name := "dwell-test-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		return fmt.Errorf("a namespace to test rules: %w", err)
	}
	defer ns.Close()
	// What holds it from now on is the open file, so that nothing is left if we are killed.
	if err := netns.Delete(name); err != nil {
		return fmt.Errorf("a namespace to test rules: %w", err)
	}
	scratch := *t
	scratch.options.NetNS = ns
	return fn(&scratch)
}

// blame finds the first rule that the kernel refuses, by halving.
func (t *Tables) blame(ctx context.Context, l *Layout, refused *RuleError) error {
	var order []uint32
	chain := map[uint32]string{}
	for _, c := range l.Chains {
		for _, r := range c.Rules {
			order = append(order, r.ID)
			chain[r.ID] = c.Name
		}
	}
	var other error
	said := map[int]string{}
	n := sort.Search(len(order), func(n int) bool {
		keep := map[uint32]bool{}
		for _, id := range order[:n+1] {
			keep[id] = true
		}
		err := t.Apply(ctx, l.without(func(r *Rule) bool { return !keep[r.ID] }))
		if r := new(RuleError); errors.As(err, &r) {
			said[n] = r.Text
		} else if err != nil {
			other = err
		}
		return err != nil
	})
	if other != nil {
		return other
	}
	if n == len(order) {
		return refused
	}
	return &RuleError{ID: order[n], Chain: chain[order[n]], Text: said[n]}
}

// without returns the layout without some of its rules.
func (l *Layout) without(skip func(*Rule) bool) *Layout {
	out := *l
	out.Chains = make([]Chain, len(l.Chains))
	for i, c := range l.Chains {
		out.Chains[i].Name = c.Name
		for j := range c.Rules {
			if !skip(&c.Rules[j]) {
				out.Chains[i].Rules = append(out.Chains[i].Rules, c.Rules[j])
			}
		}
	}
	return &out
}
