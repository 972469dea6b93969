// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// states are the names of states, in the order in which iptables prints them. The last two
// are not states but may come with one.
var states = []string{"INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"}

// stateList puts a list of states in order.
func (g *given) stateList(o *parsedOption, known []string) string {
	has := map[string]bool{}
	for name := range strings.SplitSeq(o.Args[0], ",") {
		upper := strings.ToUpper(name)
		if !slices.Contains(known, upper) {
			g.fail(g.argumentAt(o), "Bad ctstate \""+name+"\"", didYouMean(name, known, "states are "+strings.Join(known, ", ")))
		}
		has[upper] = true
	}
	var list []string
	for _, s := range states {
		if has[s] {
			list = append(list, s)
		}
	}
	return strings.Join(list, ",")
}

func normalState(g *given) []Option {
	o := g.option("--state", true)
	if o == nil {
		g.fail(g.in.at, "state: option \"--state\" must be specified", "write it")
		return nil
	}
	return []Option{{o.Not, "--state", []string{g.stateList(o, states[:5])}}}
}

func normalConntrack(g *given) []Option {
	var options []Option
	if o := g.option("--ctstate", true); o != nil {
		options = append(options, Option{o.Not, "--ctstate", []string{g.stateList(o, states)}})
	}
	options = g.verbatim(options, "--ctproto", "--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst",
		"--ctorigsrcport", "--ctorigdstport", "--ctreplsrcport", "--ctrepldstport", "--ctstatus", "--ctexpire")
	if o := g.option("--ctdir", false); o != nil {
		dir := strings.ToUpper(o.Args[0])
		if dir != "ORIGINAL" && dir != "REPLY" {
			g.fail(g.argumentAt(o), "conntrack: bad value for option \"--ctdir\": `"+o.Args[0]+"'", "write ORIGINAL or REPLY")
		}
		options = append(options, Option{Name: "--ctdir", Args: []string{dir}})
	}
	if len(options) == 0 {
		g.fail(g.in.at, "conntrack: At least one option is required", "write --ctstate, or another option of conntrack")
	}
	return options
}

// lowerConntrack does what xt_conntrack does: conntrack_mt.
func lowerConntrack(_ *Rule, m *Match) ([]header.Box, string) {
	state, dir := m.option("--ctstate"), m.option("--ctdir")
	if state == nil {
		state = m.option("--state")
	}
	reason := ""
	for _, o := range m.Options {
		if !slices.Contains([]string{"--ctstate", "--ctdir", "--state"}, o.Name) {
			reason = "only iptables can match " + o.Name
		}
	}
	var values []uint32
	c := conntrackOf(state, dir)
	for v := range header.StateEnd {
		if c.matches(v) {
			values = append(values, v)
		}
	}
	return with(header.State, header.Values(values...), false), reason
}

// conntrack is the conditions of a match.
type conntrack struct {
	// states has a bit for each header.CT, and bits is of SNAT and DNAT. Both count only if byState is set.
	byState, not bool
	states, bits uint32
	// byDirection: the packet is to be in the direction of the reply, or the other.
	byDirection, reply bool
}

func conntrackOf(state, dir *Option) conntrack {
	var c conntrack
	if dir != nil {
		c.byDirection, c.reply = true, dir.Args[0] == "REPLY"
	}
	if state == nil {
		return c
	}
	c.byState, c.not = true, state.Not
	for name := range strings.SplitSeq(state.Args[0], ",") {
		switch name {
		case "SNAT":
			c.bits |= header.StateSNAT
		case "DNAT":
			c.bits |= header.StateDNAT
		default:
			c.states |= 1 << stateNames[name]
		}
	}
	return c
}

// matches reports whether the conditions hold for a value of the word State.
func (c *conntrack) matches(v uint32) bool {
	ct := header.CT(v & 7)
	entry := ct == header.New || ct == header.Established || ct == header.Related
	if c.byState {
		in := c.states&(1<<ct) != 0 || entry && v&c.bits != 0
		if in == c.not {
			return false
		}
	}
	if !entry { // the kernel asks for nothing but the state, and a match without one fails
		return c.byState
	}
	return !c.byDirection || c.reply == (v&header.StateReply != 0)
}

var stateNames = map[string]header.CT{
	"INVALID": header.Invalid, "NEW": header.New, "RELATED": header.Related,
	"ESTABLISHED": header.Established, "UNTRACKED": header.Untracked,
}
