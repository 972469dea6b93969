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
//
// If there are fresh states, a packet is dropped, too, if it is in all of these, by the same rules: somebody
// else makes sure that it is in one of them before it is dropped.
func (s *Set) JudgeStateless(p *header.Packet, fresh ...uint32) Outcome {
	j := judging{set: s, packet: p, stateless: true, fresh: header.AllStates()}
	if len(fresh) > 0 {
		j.fresh = header.Values(fresh...).States()
	}
	return j.run()
}

func (j *judging) run() Outcome {
	switch j.chain(j.set.Base, len(j.set.Chains)) {
	case unable:
		j.outcome.Verdict = Defer
	case returned:
		j.outcome.Verdict = j.set.Policy
	}
	switch {
	case j.depends && j.outcome.Verdict != Drop:
		return Outcome{Verdict: Defer, Decider: j.first}
	case j.outcome.Verdict == Defer:
		return Outcome{Verdict: Defer, Decider: j.outcome.Decider}
	}
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
	outcome   Outcome
	stateless bool
	fresh     uint64
	// depends: there was a rule that matches in some states only. The first is first.
	depends bool
	first   uint32
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

// match reports whether the rule matches the packet in some fresh state, and whether in all.
func (j *judging) match(r *Rule) (may, must bool) {
	if !j.stateless {
		has := r.Has(j.packet)
		return has, has
	}
	var in uint64
	for i := range r.Boxes {
		in |= r.Boxes[i].StatesOf(j.packet)
	}
	if in != 0 && in != header.AllStates() && !j.depends {
		j.depends, j.first = true, r.ID
	}
	return in&j.fresh != 0, in&j.fresh == j.fresh
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
