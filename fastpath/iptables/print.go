// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"fmt"
	"strconv"
	"strings"
)

// CountersOf says what a rule has counted; with the ID 0, what the policy of a chain has.
type CountersOf func(chain string, id uint32) Counters

// Save returns the text that iptables-save prints for the table, without comments. If counters
// is set, rules have their counters.
func (c *Chains) Save(counters CountersOf) string {
	var b strings.Builder
	b.WriteString("*filter\n")
	for _, ch := range c.List {
		var n Counters
		if counters != nil && ch.Policy != "" {
			n = counters(ch.Name, 0)
		}
		fmt.Fprintf(&b, ":%s %s [%d:%d]\n", ch.Name, ch.policy(), n.Packets, n.Bytes)
	}
	for _, ch := range c.List {
		for _, r := range ch.Rules {
			if counters != nil {
				n := counters(ch.Name, r.ID)
				fmt.Fprintf(&b, "[%d:%d] ", n.Packets, n.Bytes)
			}
			b.WriteString(ch.line(r) + "\n")
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// line returns the rule as a command without the program.
func (ch *Chain) line(r *Rule) string {
	return strings.TrimRight("-A "+ch.Name+" "+r.String(), " ")
}

// Print returns what iptables prints for List and ListRules. counters may be nil.
func (c *Chains) Print(cmd *Command, counters CountersOf) (string, error) {
	chains := c.List
	if cmd.Chain != "" {
		ch := c.Get(cmd.Chain)
		if ch == nil {
			return "", noChain(cmd.Chain)
		}
		chains = []*Chain{ch}
	}
	if counters == nil {
		counters = func(string, uint32) Counters { return Counters{} }
	}
	if cmd.Op == ListRules {
		return printRules(chains, cmd, counters), nil
	}
	var b strings.Builder
	for i, ch := range chains {
		if cmd.Number == 0 {
			if i > 0 {
				b.WriteByte('\n')
			}
			c.printHead(&b, ch, cmd, counters)
		}
		for n, r := range ch.Rules {
			if cmd.Number == 0 || cmd.Number == n+1 {
				printRule(&b, ch, r, n+1, cmd, counters)
			}
		}
	}
	return b.String(), nil
}

// printRules is -S.
func printRules(chains []*Chain, cmd *Command, counters CountersOf) string {
	var b strings.Builder
	count := func(ch *Chain, id uint32) string {
		if !cmd.Verbose {
			return ""
		}
		n := counters(ch.Name, id)
		return fmt.Sprintf(" -c %d %d", n.Packets, n.Bytes)
	}
	for _, ch := range chains {
		switch {
		case cmd.Number > 0:
		case ch.Policy != "":
			fmt.Fprintf(&b, "-P %s %s%s\n", ch.Name, ch.Policy, count(ch, 0))
		default:
			fmt.Fprintf(&b, "-N %s\n", ch.Name)
		}
	}
	for _, ch := range chains {
		for i, r := range ch.Rules {
			if cmd.Number > 0 && cmd.Number != i+1 {
				continue
			}
			parts := []string{"-A " + ch.Name}
			if s := r.Conditions(); s != "" {
				parts = append(parts, s)
			}
			if n := count(ch, r.ID); n != "" {
				parts = append(parts, n[1:])
			}
			if t := r.Target.String(); t != "" && r.Verbatim == nil {
				parts = append(parts, t)
			}
			b.WriteString(strings.Join(parts, " ") + "\n")
		}
	}
	return b.String()
}

// printHead is the lines above the rules of -L.
func (c *Chains) printHead(b *strings.Builder, ch *Chain, cmd *Command, counters CountersOf) {
	n := counters(ch.Name, 0)
	switch {
	case ch.Policy == "":
		fmt.Fprintf(b, "Chain %s (%d references)\n", ch.Name, c.references(ch.Name))
	case cmd.Verbose:
		fmt.Fprintf(b, "Chain %s (policy %s %s packets, %s bytes)\n", ch.Name, ch.Policy,
			shortNumber(n.Packets, cmd.Exact), shortNumber(n.Bytes, cmd.Exact))
	default:
		fmt.Fprintf(b, "Chain %s (policy %s)\n", ch.Name, ch.Policy)
	}
	if cmd.LineNumbers {
		b.WriteString("num  ")
	}
	switch {
	case cmd.Verbose && cmd.Exact:
		fmt.Fprintf(b, "%8s %10s ", "pkts", "bytes")
	case cmd.Verbose:
		fmt.Fprintf(b, "%5s %5s ", "pkts", "bytes")
	}
	fmt.Fprintf(b, "%-9s  prot opt", "target")
	if cmd.Verbose {
		fmt.Fprintf(b, " %-6s %-6s ", "in", "out")
	}
	fmt.Fprintf(b, " %-19s  %-19s \n", "source", "destination")
}

// printRule is one rule of -L.
func printRule(b *strings.Builder, ch *Chain, r *Rule, number int, cmd *Command, counters CountersOf) {
	if cmd.LineNumbers {
		fmt.Fprintf(b, "%-4d ", number)
	}
	n := counters(ch.Name, r.ID)
	switch {
	case cmd.Verbose && cmd.Exact:
		fmt.Fprintf(b, "%8d %10d ", n.Packets, n.Bytes)
	case cmd.Verbose:
		fmt.Fprintf(b, "%5s %5s ", shortNumber(n.Packets, false), shortNumber(n.Bytes, false))
	}
	fmt.Fprintf(b, "%-9s %s%-4s %s ", r.Target.Name, mark(r.Proto.Not), protocolColumn(r), fragmentColumn(r))
	if cmd.Verbose {
		fmt.Fprintf(b, " %-6s %-6s ", deviceColumn(r.In), deviceColumn(r.Out))
	}
	fmt.Fprintf(b, "%s%-19s %s%-19s ", mark(r.Src.Not), addressColumn(r, r.Src), mark(r.Dst.Not), addressColumn(r, r.Dst))
	if s := r.details(); s != "" {
		b.WriteString(" " + s)
	}
	b.WriteByte('\n')
}

func mark(not bool) string {
	if not {
		return "!"
	}
	return " "
}

func protocolColumn(r *Rule) string {
	if r.Proto.Number == 0 {
		return "all"
	}
	return r.Proto.text()
}

func fragmentColumn(r *Rule) string {
	switch {
	case r.Family == 6:
		return "  "
	case r.Fragment == LaterFragment:
		return "-f"
	case r.Fragment == NotLaterFragment:
		return "!f"
	}
	return "--"
}

func deviceColumn(i Interface) string {
	if i.Name == "" {
		return "*"
	}
	if i.Not {
		return "!" + i.Name
	}
	return i.Name
}

func addressColumn(r *Rule, a Address) string {
	if a.All() {
		if r.Family == 6 {
			return "::/0"
		}
		return "0.0.0.0/0"
	}
	text := a.text(r.Family)
	if prefixBits(r.Family, a.Mask) == a.Mask.BitLen() {
		text = addressText(a.Addr)
	}
	return text
}

// shortNumber prints a counter as -L does: thousands as K, millions as M, unless it is exact.
func shortNumber(n uint64, exact bool) string {
	if exact || n <= 99999 {
		return strconv.FormatUint(n, 10)
	}
	for _, unit := range []string{"K", "M", "G"} {
		if n = (n + 500) / 1000; n <= 9999 {
			return strconv.FormatUint(n, 10) + unit
		}
	}
	return strconv.FormatUint((n+500)/1000, 10) + "T"
}
