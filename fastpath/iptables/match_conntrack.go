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
	for v := range header.StateEnd {
		if conntrackMatches(v, state, dir) {
			values = append(values, v)
		}
	}
	return with(header.State, header.Values(values...), false), reason
}

// conntrackMatches reports whether the conditions hold for the value of the word State.
func conntrackMatches(v uint32, state, dir *Option) bool {
	ct := header.CT(v & 7)
	entry := ct == header.New || ct == header.Established || ct == header.Related
	if state != nil {
		in := false
		for name := range strings.SplitSeq(state.Args[0], ",") {
			switch name {
			case "SNAT":
				in = in || entry && v&header.StateSNAT != 0
			case "DNAT":
				in = in || entry && v&header.StateDNAT != 0
			default:
				in = in || ct == stateNames[name]
			}
		}
		if in == state.Not {
			return false
		}
	}
	if !entry { // the kernel asks for nothing but the state, and a match without one fails
		return state != nil
	}
	return dir == nil || (dir.Args[0] == "REPLY") == (v&header.StateReply != 0)
}

var stateNames = map[string]header.CT{
	"INVALID": header.Invalid, "NEW": header.New, "RELATED": header.Related,
	"ESTABLISHED": header.Established, "UNTRACKED": header.Untracked,
}
