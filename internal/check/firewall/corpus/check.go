// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// report counts rules.
type report struct {
	lines      int // rules in the files
	refused    int // iptables does not take them, whatever the package says
	rejected   int // iptables takes them, and the package does not
	understood int // the package knows exactly what they match and do
	verbatim   int // the package keeps some of it as it is
	notation   int // understood, but iptables prints them otherwise
	different  int // iptables lists what the package printed otherwise than the original
}

func (r *report) add(o report) {
	r.lines += o.lines
	r.refused += o.refused
	r.rejected += o.rejected
	r.understood += o.understood
	r.verbatim += o.verbatim
	r.notation += o.notation
	r.different += o.different
}

func (r *report) print(w io.Writer, backend string) {
	fmt.Fprintf(w, "%-6s  lines %d  refused by iptables %d  understood %d  verbatim %d  only iptables takes %d  other notation %d  different %d\n",
		backend, r.lines, r.refused, r.understood, r.verbatim, r.rejected, r.notation, r.different)
}

// checker puts rules into iptables.
type checker struct {
	*kernel
	report  report
	verbose bool
	out     io.Writer
}

// check checks all files with one back end.
func check(ctx context.Context, backend string, files []file, verbose bool, out io.Writer) (r report, err error) {
	k, err := newKernel(backend)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	c := checker{kernel: k, verbose: verbose, out: out}
	for i := range files {
		for _, table := range files[i].tables() {
			if err := c.table(ctx, &files[i], table); err != nil {
				return c.report, fmt.Errorf("%s: %w", files[i].name, err)
			}
		}
	}
	return c.report, nil
}

// trial is a rule that is put into iptables.
type trial struct {
	line
	rules []*iptables.Rule
	err   error
}

func (t *trial) original() string { return "-A " + t.chain + " " + t.text }

func (t *trial) printed() []string {
	var all []string
	for _, r := range t.rules {
		all = append(all, "-A "+t.chain+" "+r.String())
	}
	return all
}

// table checks the rules of one table of a file.
func (c *checker) table(ctx context.Context, f *file, table string) error {
	var trials []*trial
	for _, l := range f.lines {
		if l.table == table {
			t := &trial{line: l}
			t.rules, t.err = l.parse(f.family)
			trials = append(trials, t)
		}
	}
	c.report.lines += len(trials)
	head := "*" + table + "\n"
	for _, name := range f.own[table] {
		head += ":" + name + " - [0:0]\n"
	}
	trials, before, err := c.accepted(ctx, f.family, table, head, trials)
	if err != nil || len(trials) == 0 {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(trials), func(t *trial) bool { return t.err != nil })
	for _, t := range trials {
		if t.err != nil {
			c.report.rejected++
			if c.verbose {
				fmt.Fprintf(c.out, "%s: only iptables takes: %s\n\t%v\n", f.name, t.original(), t.err)
			}
		}
	}
	if len(kept) < len(trials) {
		if kept, before, err = c.accepted(ctx, f.family, table, head, kept); err != nil {
			return err
		}
	}
	return c.compare(ctx, f, table, head, kept, before)
}

var module = regexp.MustCompile(`(?:-[mjgp] \S+|--[a-z0-9-]+)`)

// accepted puts rules as they stand into iptables, without those that it refuses, and returns the
// others and how they are listed.
func (c *checker) accepted(ctx context.Context, f header.Family, table, head string, trials []*trial) ([]*trial, []string, error) {
	if len(trials) > 0 && trials[0].shell {
		return c.acceptedAlone(ctx, f, table, trials)
	}
	first := strings.Count(head, "\n") + 1
	for {
		var b strings.Builder
		for _, t := range trials {
			b.WriteString(t.original() + "\n")
		}
		err := c.restore(ctx, f, head+b.String()+"COMMIT\n")
		if err == nil {
			break
		}
		n := refusedLine(err) - first
		if n < 0 || n >= len(trials) {
			if n == len(trials) && c.shrink(ctx, f, table, head, &trials) {
				continue
			}
			return nil, nil, fmt.Errorf("table %s: %w", table, err)
		}
		if c.verbose {
			fmt.Fprintf(c.out, "%s refuses %s: %v\n", c.backend, trials[n].original(), err)
		}
		trials = c.without(trials, n)
	}
	listed, err := c.list(ctx, f, table)
	return trials, listed, errors.Join(err, c.clear(ctx, f, table))
}

// acceptedAlone does the same with commands.
func (c *checker) acceptedAlone(ctx context.Context, f header.Family, table string, trials []*trial) ([]*trial, []string, error) {
	var kept []*trial
	for _, t := range trials {
		args := append([]string{"-t", table, "-A", t.chain}, shellWords(t.text)...)
		_, err := c.run(ctx, "", program(f, c.backend), args...)
		var r *refusal
		switch {
		case err == nil:
			kept = append(kept, t)
		case !errors.As(err, &r):
			return nil, nil, err
		default:
			c.report.refused++
			if c.verbose {
				fmt.Fprintf(c.out, "%s refuses %s: %v\n", c.backend, t.original(), err)
			}
		}
	}
	listed, err := c.list(ctx, f, table)
	return kept, listed, errors.Join(err, c.clear(ctx, f, table))
}

// without leaves out a refused rule, and if it is from a long file, all that are like it.
func (c *checker) without(trials []*trial, n int) []*trial {
	like := func(t *trial) string { return strings.Join(module.FindAllString(t.text, -1), " ") }
	bad, long := trials[n], len(trials) > 500
	return slices.DeleteFunc(slices.Clone(trials), func(t *trial) bool {
		gone := t == bad || long && like(t) == like(bad)
		if gone {
			c.report.refused++
		}
		return gone
	})
}

// shrink leaves out the rules that are refused when they are committed, which iptables-legacy
// cannot tell apart: it tries each alone. It reports whether there was one.
func (c *checker) shrink(ctx context.Context, f header.Family, table, head string, trials *[]*trial) bool {
	kept := slices.DeleteFunc(slices.Clone(*trials), func(t *trial) bool {
		bad := c.restore(ctx, f, head+t.original()+"\nCOMMIT\n") != nil
		_ = c.clear(ctx, f, table)
		return bad
	})
	c.report.refused += len(*trials) - len(kept)
	shrunk := len(kept) < len(*trials)
	*trials = kept
	return shrunk
}

// compare puts the rules as the package prints them into iptables.
func (c *checker) compare(ctx context.Context, f *file, table, head string, trials []*trial, before []string) error {
	var b strings.Builder
	for _, t := range trials {
		for _, p := range t.printed() {
			b.WriteString(p + "\n")
		}
		c.understanding(t)
	}
	if err := c.restore(ctx, f.family, head+b.String()+"COMMIT\n"); err != nil {
		c.report.different++
		fmt.Fprintf(c.out, "%s: %s does not take what was printed: %v\n%s", f.name, c.backend, err, excerpt(head+b.String(), refusedLine(err)))
		return c.clear(ctx, f.family, table)
	}
	after, err := c.list(ctx, f.family, table)
	if err != nil {
		return err
	}
	c.same(f, trials, before, after)
	return c.clear(ctx, f.family, table)
}

func excerpt(text string, n int) string {
	lines := strings.Split(text, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return "\t" + lines[n-1] + "\n"
}

// understanding counts how much of a rule is understood.
func (c *checker) understanding(t *trial) {
	anywhere := func(string, bool) (iptables.Truth, iptables.Truth) { return iptables.Always, iptables.Always }
	for _, r := range t.rules {
		if _, reason := r.Lower(anywhere); reason != "" {
			c.report.verbatim++
			return
		}
	}
	c.report.understood++
}

// same compares two lists of rules.
func (c *checker) same(f *file, trials []*trial, before, after []string) {
	if len(before) != len(after) {
		c.report.different++
		fmt.Fprintf(c.out, "%s: %s lists %d rules, and %d as printed\n", f.name, c.backend, len(before), len(after))
		return
	}
	for i := range before {
		if before[i] != after[i] {
			c.report.different++
			fmt.Fprintf(c.out, "%s: %s lists\n\t%s\nas printed\n\t%s\n", f.name, c.backend, before[i], after[i])
		}
	}
	c.readBack(f, trials, before)
}

// readBack reads what iptables lists: what it says of a rule that is understood must mean the same
// as one of the rules. It also counts where the notation is another.
func (c *checker) readBack(f *file, trials []*trial, listed []string) {
	ours := map[string]bool{}
	for _, t := range trials {
		for _, r := range t.rules {
			ours[meaning(t.chain, r)] = true
		}
	}
	for _, l := range listed {
		rule := strings.SplitN(l, " ", 3)
		if len(rule) < 3 {
			continue
		}
		r, err := iptables.ParseRule(f.family, rule[2])
		if err != nil {
			c.report.different++
			fmt.Fprintf(c.out, "%s: cannot read what %s lists: %s: %v\n", f.name, c.backend, l, err)
			continue
		}
		if m := meaning(rule[1], r); m != "" && !ours[m] {
			c.report.different++
			fmt.Fprintf(c.out, "%s: %s lists what is not one of the rules:\n\t%s\n", f.name, c.backend, l)
		}
		if r.String() != rule[2] {
			c.report.notation++
			if c.verbose {
				fmt.Fprintf(c.out, "%s: %s prints\n\t%s\nand the package\n\t%s\n", f.name, c.backend, rule[2], r.String())
			}
		}
	}
}

// meaning returns which packets a rule matches and what it does with them, or "" if the
// package does not know it exactly. Not the notation, because iptables-nft rewrites some.
func meaning(chain string, r *iptables.Rule) string {
	lowered, reason := r.Lower(nil)
	if reason != "" {
		return ""
	}
	return fmt.Sprint(chain, lowered.Boxes, r.Target.String(), r.Comment())
}
