// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"fmt"
	"slices"
	"strings"
)

// script is what iptables-restore reads, and whose rules stand on which line.
type script struct {
	text  strings.Builder
	lines int
	rules map[int]*Rule
}

func newScript() *script {
	s := &script{rules: map[int]*Rule{}}
	s.add("*filter")
	return s
}

func (s *script) add(format string, args ...any) {
	fmt.Fprintf(&s.text, format+"\n", args...)
	s.lines++
}

// declare makes a chain, or flushes it if it is there.
func (s *script) declare(chain string) { s.add(":%s - [0:0]", chain) }

func (s *script) fill(b block) {
	for _, l := range b.lines {
		s.add("[%d:%d] -A %s %s", l.count.Packets, l.count.Bytes, b.name, l.text)
		if l.rule != nil {
			s.rules[s.lines] = l.rule
		}
	}
}

func (s *script) String() string { return s.text.String() + "COMMIT\n" }

// apply returns the transaction that puts the layout in force, given what is there.
func (l *Layout) apply(now *Installed) (*script, error) {
	base := ChainName(l.ID, l.Number)
	blocks, err := l.blocks(now.Tenant(l.ID, l.Number))
	if err != nil {
		return nil, err
	}
	s := newScript()
	s.declare(root)
	for _, b := range blocks {
		s.declare(b.name)
	}
	jumps := now.otherJumps(base)
	for _, device := range l.Devices {
		jumps.add("-i " + quote(device) + " -j " + base + fromSuffix)
		jumps.add("-o " + quote(device) + " -j " + base + toSuffix)
	}
	s.fill(jumps)
	for _, b := range blocks {
		s.fill(b)
	}
	now.raise(s)
	var old []string
	for _, chain := range now.owned(base) {
		if !slices.ContainsFunc(blocks, func(b block) bool { return b.name == chain }) {
			old = append(old, chain)
			s.add("-F %s", chain)
		}
	}
	for _, chain := range old { // which no rule refers to now
		s.add("-X %s", chain)
	}
	return s, nil
}

// remove returns the transaction that leaves nothing of a tenant's, or nil if there is nothing.
func (i *Installed) remove(base string) *script {
	s := newScript()
	mine, jumps := i.owned(base), i.otherJumps(base)
	_, rooted := i.Chains[root]
	last := len(jumps.lines) == 0 && (rooted || i.jumps > 0)
	if len(mine) == 0 && !last {
		return nil
	}
	if rooted {
		s.declare(root)
	}
	for _, chain := range mine {
		s.declare(chain)
	}
	s.fill(jumps)
	for _, chain := range mine {
		s.add("-X %s", chain)
	}
	if last {
		for range i.jumps {
			s.add("-D %s -j %s", forward, root)
		}
		s.add("-X %s", root)
	}
	return s
}

// owned returns the tenant's chains that are there, in order.
func (i *Installed) owned(base string) []string {
	var mine []string
	for chain := range i.Chains {
		if owns(base, chain) {
			mine = append(mine, chain)
		}
	}
	slices.Sort(mine)
	return mine
}

// raise makes the jump to dwell the first rule of FORWARD, and the only one.
func (i *Installed) raise(s *script) {
	if i.Jump == 1 && i.jumps == 1 {
		return
	}
	for range i.jumps {
		s.add("-D %s -j %s", forward, root)
	}
	s.add("-I %s 1 -j %s", forward, root)
}

// otherJumps returns the chain dwell without the jumps to one tenant's chains, and without what
// is not dwell's.
func (i *Installed) otherJumps(base string) block {
	b := block{name: root}
	for n, text := range i.Chains[root] {
		target := jumpOf(text)
		if target != base+fromSuffix && target != base+toSuffix && target != "" {
			b.lines = append(b.lines, line{text: text, count: i.rootCounts[n]})
		}
	}
	return b
}

// jumpOf returns the chain to which a rule of the chain dwell jumps, or "" if it is not a rule
// of dwell's.
func jumpOf(text string) string {
	words := strings.Fields(text)
	if len(words) != 4 || words[0] != "-i" && words[0] != "-o" || words[2] != "-j" || !Ours(words[3]) {
		return ""
	}
	return words[3]
}
