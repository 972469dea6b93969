// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"github.com/dwelltrace/dwell/fastpath/header"
)

// Layout is a tenant's rules of one family, as they are to stand in table filter.
//
// ACCEPT in a tenant's rules is "no objection": the operator's rules are still to be asked. So
// it becomes RETURN in the first chain. In another chain it also has to leave the chains that
// led there, so it sets [Layout.Bit] of the packet's mark, after which every jump returns. The bit
// is 0 when a packet enters the tenant's chains and when it leaves them.
type Layout struct {
	Family header.Family
	// ID and Number are the tenant's.
	ID     string
	Number uint32
	// Devices are the names that -i and -o have for the tenant.
	Devices []string
	// Programs are asked before the rules. The zero value asks none.
	Programs Programs
	// Bit is the bit of the mark for ACCEPT in other chains than the first, or 0 if there is no
	// free one. See [Layout.NeedsBit].
	Bit uint32
	// Base is the name of the first chain in Chains, usually FORWARD.
	Base string
	// Drop is set if the policy of the first chain is DROP, otherwise it is ACCEPT.
	Drop bool
	// PolicyCount is what reached the policy before.
	PolicyCount Count
	Chains      []Chain
}

// Programs are paths of pinned programs for -m bpf.
type Programs struct{ FromTagged, FromPass, FromDrop, ToPass, ToDrop string }

// Chain is one of the tenant's chains.
type Chain struct {
	// Name is the tenant's name for it.
	Name  string
	Rules []Rule
}

// Rule is one rule, in the words of iptables-save.
type Rule struct {
	// ID is not 0 and occurs once in a layout.
	ID uint32
	// Matches is what stands before -j, with quotes where they are needed, such as
	// `-s 192.0.2.0/24 -p tcp -m tcp --dport 22`.
	Matches string
	// Target is what stands after -j: ACCEPT, DROP, RETURN, the name of one of the tenant's
	// chains, or of another target. "" if the rule only counts.
	Target string
	// Goto is set for -g in place of -j.
	Goto bool
	// Options are those of the target, such as `--reject-with tcp-reset`.
	Options string
	// Count is what the rule counted before. A rule that is installed with the same ID keeps
	// its present count in place of it.
	Count Count
}

// Count is packets and bytes.
type Count struct{ Packets, Bytes uint64 }

// PolicyID is what [Installed] counts by what reached a tenant's policy.
const PolicyID uint32 = 0

// NeedsBit returns the name of a chain that has ACCEPT and is not the first, or "".
func (l *Layout) NeedsBit() string {
	for i := range l.Chains {
		c := &l.Chains[i]
		if c.Name == l.Base {
			continue
		}
		for _, r := range c.Rules {
			if r.Target == accept {
				return c.Name
			}
		}
	}
	return ""
}

// Targets that every table has.
const (
	accept = "ACCEPT"
	drop   = "DROP"
	ret    = "RETURN"
)
