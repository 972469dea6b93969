// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Judge asks the rules about a packet, one after the other as iptables does.
//
// The outcome is [Defer] as soon as it comes to a rule that cannot be judged. So it is if chains
// call each other in a circle or are not there: [Set.Check] says so beforehand.
func (s *Set) Judge(p *header.Packet) Outcome {
	j := judging{set: s, packet: p}
	switch j.chain(s.Base, len(s.Chains)) {
	case decided:
		return j.outcome
	case unable:
		return Outcome{Verdict: Defer, Decider: j.outcome.Decider}
	}
	j.outcome.Verdict = s.Policy
	return j.outcome
}

// JudgeStateless is [Set.Judge] for a packet of which everything is known but the word State: it
// defers it if the verdict or the rules that match depend on it.
func (s *Set) JudgeStateless(p *header.Packet) Outcome {
	var first Outcome
	for i, state := range header.States() {
		q := *p
		q.Words[header.State] = state
		o := s.Judge(&q)
		if i == 0 {
			first = o
		}
		if o.Verdict == Defer {
			return o
		}
		if o.Verdict != first.Verdict || !slices.Equal(o.Rules, first.Rules) {
			return Outcome{Verdict: Defer, Decider: parting(first.Rules, o.Rules)}
		}
	}
	return first
}

// parting returns the first rule by which two lists of rules differ: one that matches in one state and
// not in the other, or that is only met in one because of such a rule.
func parting(a, b []uint32) uint32 {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i]
		}
	}
	if len(a) > len(b) {
		return a[len(b)]
	}
	return b[len(a)]
}

// end is how a chain came to its end.
type end uint8

const (
	returned end = iota
	decided
	unable
)

type judging struct {
	set     *Set
	packet  *header.Packet
	outcome Outcome
}

// chain judges by one chain, which may go depth chains further.
func (j *judging) chain(name string, depth int) end {
	c := j.set.Chains[name]
	if c == nil || depth == 0 {
		return unable
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		if !r.Has(j.packet) {
			continue
		}
		if r.Unknown || r.Action >= Foreign {
			j.outcome.Decider = r.ID
			return unable
		}
		j.outcome.Rules = append(j.outcome.Rules, r.ID)
		switch r.Action {
		case Accept, Deny:
			j.outcome.Verdict, j.outcome.Decider = Pass, r.ID
			if r.Action == Deny {
				j.outcome.Verdict = Drop
			}
			return decided
		case Return:
			return returned
		case Goto:
			return j.chain(r.Target, depth-1)
		case Jump:
			if e := j.chain(r.Target, depth-1); e != returned {
				return e
			}
		}
	}
	return returned
}

// Has reports whether the rule matches the packet or, if it is Unknown, may match it.
func (r *Rule) Has(p *header.Packet) bool {
	for i := range r.Boxes {
		if r.Boxes[i].Has(p) {
			return true
		}
	}
	return false
}
