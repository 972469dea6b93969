// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// takenShown is how many entries that must not be are printed.
const takenShown = 5

// write prints what red's packets took on each side, and the ratios of what was measured in the same round.
func (s *isolation) write(w io.Writer) error {
	rate := "as many packets as one CPU can send"
	if s.rate > 0 {
		rate = fmt.Sprintf("%d packets a second", s.rate)
	}
	fmt.Fprintf(w, "\nisolation: round trips of one tenant on the fast path while another sends %s; medians (first to third quartile) of %d rounds\n", rate, s.rounds)
	for _, a := range s.attacks {
		fmt.Fprintf(w, "%s: %s\n", a.name, a.summary)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t%s\t%s\t", alone, attackOff, attackOn)
	ratios := [][2]string{{attackOn, alone}, {attackOn, attackOff}, {attackOff, alone}}
	for _, p := range ratios {
		fmt.Fprintf(t, "%s/%s\t", p[0], p[1])
		if p[0] == attackOn {
			fmt.Fprint(t, "goal\treached\t")
		}
	}
	fmt.Fprint(t, "fast packets\t\n")
	for _, m := range s.results.measures() {
		fmt.Fprintf(t, "%s, %s\t", m.name, m.unit)
		for _, side := range []string{alone, attackOff, attackOn} {
			fmt.Fprintf(t, "%s\t", s.results.figure(m, side))
		}
		for _, p := range ratios {
			q, _ := s.results.ratios(m, p[0], p[1])
			fmt.Fprintf(t, "%.2f (%.2f–%.2f)\t", q[1], q[0], q[2])
			if p[0] == attackOn {
				fmt.Fprintf(t, "%s\t%s\t", unhurt, unhurt.reached(q[1]))
			}
		}
		fmt.Fprintf(t, "%s\t\n", s.results.shareOn(m, attackOn))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return s.writeSeen(w)
}

// writeSeen prints what the attacks were, and what they left.
func (s *isolation) writeSeen(w io.Writer) error {
	for _, a := range s.attacks {
		saw := s.seen[a.name]
		fmt.Fprintf(w, "%s: %.0f (blue slow) and %.0f (blue fast) packets a second were sent, and blue had at most %d entries of %d. "+
			"At another's port, in another's room, or fast in another's name: %d entries. In another's name and never fast, in blue's room: %d. "+
			"Of red's packets, answers to blue's among them, slow were %s; treated otherwise than foretold: %d\n",
			a.name, traffic.Quartiles(saw.rates[attackOff])[1], traffic.Quartiles(saw.rates[attackOn])[1], saw.entries, strangersRoom,
			len(saw.taken), len(saw.named), frequent(saw.slow.why), saw.differ)
		for i, text := range slices.Sorted(maps.Keys(saw.taken)) {
			if i == takenShown {
				fmt.Fprintln(w, "\t…")
				break
			}
			fmt.Fprintf(w, "\t%s\n", text)
		}
	}
	return nil
}
