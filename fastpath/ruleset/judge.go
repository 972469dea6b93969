// SPDX-License-Identifier: Apache-2.0

package ruleset

import "github.com/dwelltrace/dwell/fastpath/header"

// Judge asks the rules about a packet, one after the other as iptables does.
//
// The outcome is [Defer] as soon as it comes to a rule that cannot be judged. So it is if chains
// call each other in a circle or are not there: [Set.Check] says so beforehand.
func (s *Set) Judge(p *header.Packet) Outcome {
	j := judging{set: s, packet: p}
	return j.run()
}

// JudgeStateless is [Set.Judge] for a packet of which everything is known but the word State: it
// defers it if the verdict or the rules that match depend on it.
//
// They do if the packet comes to a rule that matches in some states only: there it counts, and
// in the others it does not.
func (s *Set) JudgeStateless(p *header.Packet) Outcome {
	j := judging{set: s, packet: p, stateless: true}
	return j.run()
}

func (j *judging) run() Outcome {
	switch j.chain(j.set.Base, len(j.set.Chains)) {
	case decided:
		return j.outcome
	case unable:
		return Outcome{Verdict: Defer, Decider: j.outcome.Decider}
	}
	j.outcome.Verdict = j.set.Policy
	return j.outcome
}

// end is how a chain came to its end.
type end uint8

const (
	returned end = iota
	decided
	unable
)

type judging struct {
	set       *Set
	packet    *header.Packet
	stateless bool
	outcome   Outcome
}

// chain judges by one chain, which may go depth chains further.
func (j *judging) chain(name string, depth int) end {
	c := j.set.Chains[name]
	if c == nil || depth == 0 {
		return unable
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		may, must := j.match(r)
		if !may {
			continue
		}
		if !must || r.Unknown || r.Action >= Foreign {
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

// match reports whether the rule matches the packet in some state, and whether in all.
func (j *judging) match(r *Rule) (may, must bool) {
	if !j.stateless {
		has := r.Has(j.packet)
		return has, has
	}
	var in uint64
	for i := range r.Boxes {
		in |= r.Boxes[i].StatesOf(j.packet)
	}
	return in != 0, in == header.AllStates()
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
