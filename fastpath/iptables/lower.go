// SPDX-License-Identifier: Apache-2.0

package iptables

import "github.com/dwelltrace/dwell/fastpath/ruleset"

// Truth is whether something holds for all packets, for none, or for one cannot say which.
type Truth uint8

// The truth values.
const (
	Unknown Truth = iota
	Always
	Never
)

// Devices says whether the device by which a packet comes (out is false), or goes (out is true), has
// the name, which may end in "+": for packets from the tenant, and for packets to it.
type Devices func(name string, out bool) (from, to Truth)

// Lower translates a rule. Its boxes are exactly the packets that the rule matches, or, if
// the rule is Unknown, at least all packets that it may match. reason says in a sentence why a rule is
// Unknown or Foreign, or is "".
func (r *Rule) Lower(_ Devices) (lowered ruleset.Rule, reason string) {
	return ruleset.Rule{}, "not implemented"
}

// Lower translates all chains. reasons has, by rule ID, those that [Rule.Lower] gives.
func (c *Chains) Lower(_ Devices) (set *ruleset.Set, reasons map[uint32]string) {
	return nil, nil
}
