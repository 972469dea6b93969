// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// write prints medians with the quartiles, and ratios of what was measured in the same round.
func (s *scene) write(w io.Writer) error {
	fmt.Fprintf(w, "\nmode %s (%s), %d rules: medians (first to third quartile) of %d rounds\n", s.mode.name, s.mode.summary, s.rules, s.rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	shown := s.ways
	if s.config.ratios {
		shown = nil
	}
	for _, way := range shown {
		fmt.Fprintf(t, "%s\t", way)
	}
	ratios := s.pairs()
	for _, p := range ratios {
		fmt.Fprintf(t, "%s/%s\t", p[0], p[1])
		if p[0] == fast {
			fmt.Fprint(t, "goal\treached\t")
		}
	}
	fmt.Fprint(t, "fast packets\t\n")
	for _, m := range s.results.measures() {
		fmt.Fprintf(t, "%s, %s\t", m.name, m.unit)
		for _, way := range shown {
			fmt.Fprintf(t, "%s\t", s.results.figure(m, way))
		}
		for _, p := range ratios {
			s.results.writeRatio(t, m, p)
		}
		fmt.Fprintf(t, "%s\t\n", s.results.share(m))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range s.programs {
		if s.config.ratios {
			break
		}
		fmt.Fprintf(w, "%s: %s %.2f × %.0f ns for a ping\n", p.way, p.program, p.perPing, p.each)
	}
	return nil
}

// pairs are the ways that are compared: all with slow, and the fast path with the other floor and
// the other fast path.
func (s *scene) pairs() (all [][2]string) {
	has := map[string]bool{}
	for _, way := range s.ways {
		has[way] = true
	}
	for _, way := range s.ways {
		if has[slow] && way != slow && way != bare {
			all = append(all, [2]string{way, slow})
		}
	}
	for _, to := range []string{bare, flowtable, redirect} {
		if has[fast] && has[to] {
			all = append(all, [2]string{fast, to})
		}
	}
	return all
}

func (r results) figure(m measure, way string) string {
	v := r[m][way]
	if v == nil {
		return "-"
	}
	q := traffic.Quartiles(v.each)
	return fmt.Sprintf("%.*f (%.*f–%.*f)", m.digits, q[1], m.digits, q[0], m.digits, q[2])
}

func (r results) writeRatio(w io.Writer, m measure, p [2]string) {
	q, ok := r.ratios(m, p[0], p[1])
	text := "-"
	if ok {
		text = fmt.Sprintf("%.2f (%.2f–%.2f)", q[1], q[0], q[2])
	}
	fmt.Fprintf(w, "%s\t", text)
	if p[0] != fast {
		return
	}
	g := map[string]goal{slow: m.toSlow, bare: m.toBare}[p[1]]
	reached := ""
	if ok {
		reached = g.reached(q[1])
	}
	fmt.Fprintf(w, "%s\t%s\t", g, reached)
}

// share says how many of the packets on dwell's fast path were fast.
func (r results) share(m measure) string { return r.shareOn(m, fast) }

// shareOn says how many of the packets on one side were fast.
func (r results) shareOn(m measure, side string) string {
	v := r[m][side]
	if v == nil || v.packets.fast+v.packets.slow == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(v.packets.fast)/float64(v.packets.fast+v.packets.slow))
}
