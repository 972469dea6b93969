// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"context"
	"fmt"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Apply puts the rules in force in one transaction, in place of those of the tenant that are
// there, and makes the jump from FORWARD if it is missing or not the first rule. Counters of
// rules with the same ID are kept, except for what is counted between reading and writing
// them, some milliseconds.
//
// Errors are [*LockedError], [*RuleError], [*BitError], and others; nothing was changed then.
func (t *Tables) Apply(ctx context.Context, l *Layout) error {
	p, err := t.toolsOf(l.Family)
	if err != nil {
		return err
	}
	now, err := t.Installed(ctx, l.Family)
	if err != nil {
		return err
	}
	s, err := l.apply(now)
	if err != nil {
		return err
	}
	return t.restore(ctx, p.restore, s)
}

// Raise makes the jump from FORWARD the first rule again. It is an error if there is no
// tenant.
func (t *Tables) Raise(ctx context.Context, family header.Family) error {
	p, err := t.toolsOf(family)
	if err != nil {
		return err
	}
	now, err := t.Installed(ctx, family)
	if err != nil {
		return err
	}
	if _, ok := now.Chains[root]; !ok {
		return fmt.Errorf("there is no chain %s in table filter of %s for IPv%d: nothing was put in, or somebody deleted it", root, t, family)
	}
	if now.Jump == 1 && now.jumps == 1 {
		return nil
	}
	s := newScript()
	now.raise(s)
	return t.restore(ctx, p.restore, s)
}

// Remove takes out all chains of the tenant and the jumps to them, also those that a crash
// left half done, and with the last tenant the chain dwell and the jump from FORWARD. It is
// not an error if there is nothing. Rules of others that jump to the tenant's chains are; they
// have to be deleted first.
func (t *Tables) Remove(ctx context.Context, family header.Family, id string, number uint32) error {
	p, err := t.toolsOf(family)
	if err != nil {
		return err
	}
	now, err := t.Installed(ctx, family)
	if err != nil {
		return err
	}
	s := now.remove(ChainName(id, number))
	if s == nil {
		return nil
	}
	return t.restore(ctx, p.restore, s)
}

// Installed reads what is there.
func (t *Tables) Installed(ctx context.Context, family header.Family) (*Installed, error) {
	p, err := t.toolsOf(family)
	if err != nil {
		return nil, err
	}
	out, err := t.run(ctx, "", p.save, "--counters", "--table", "filter")
	if err != nil {
		return nil, err
	}
	return parseInstalled(family, out)
}

// Save returns all tables of a family as iptables-save prints them, without counters. Options.Kind
// says of which iptables.
func Save(ctx context.Context, o Options, family header.Family) (string, error) {
	t := locate(ctx, o, o.Kind)
	if t == nil {
		return "", missing(o.Kind)
	}
	p, err := t.toolsOf(family)
	if err != nil {
		return "", err
	}
	return t.run(ctx, "", p.save)
}
