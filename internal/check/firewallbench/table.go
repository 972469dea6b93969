// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dwelltrace/dwell/internal/check/progtime"
)

// columns are the measurements in the order of the table.
func columns() []string {
	return []string{pingOne, pingMany, tcpRR, packetOne, packetMany, verdictOne, verdictMany}
}

// writeTable prints medians with the quartiles, and for each way the ratio of the most rules to the
// fewest.
func writeTable(w io.Writer, flavour string, cfg config, cells []*cell) error {
	fmt.Fprintf(w, "\nflavour %s: medians (first to third quartile) of %d rounds. A verdict is the time of dwell's programs for a packet, "+
		"which includes measuring it; of iptables, what a packet takes longer than without rules.\n", flavour, cfg.rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "where\trules\tping one flow µs\tall different µs\tTCP_RR 1/s\tpacket one flow ns\tall different ns\tverdict one flow ns\tall different ns\tput in force ms\tcompile ms\tswap ms\t\n")
	for _, c := range cells {
		fmt.Fprintf(t, "%s\t%d\t", c.way, c.load.rules)
		for _, name := range columns() {
			text := figure(name, c.samples[name])
			if of := map[string]string{verdictOne: packetOne, verdictMany: packetMany}[name]; of != "" && len(c.samples[name]) == 0 {
				text = more(cells[0].samples[of], c.samples[of])
			}
			fmt.Fprintf(t, "%s\t", text)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t\n", milliseconds(c.placed.all), milliseconds(c.placed.compile), milliseconds(c.placed.swap))
	}
	for _, way := range cfg.ways {
		few, many := extremes(cells, way)
		if few == nil || few == many {
			continue
		}
		fmt.Fprintf(t, "%s\t%d/%d\t", way, many.load.rules, few.load.rules)
		for _, name := range columns() {
			fmt.Fprintf(t, "%s\t", ratio(few.samples[name], many.samples[name]))
		}
		fmt.Fprint(t, "\t\t\t\n")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range cells {
		for _, name := range []string{verdictOne, verdictMany} {
			if text := programsText(c.programs[name]); text != "" {
				fmt.Fprintf(w, "%s, %d rules, %s: %s\n", c.way, c.load.rules, name, text)
			}
		}
	}
	return nil
}

// programsText returns how often and how long each program ran.
func programsText(programs map[string]progtime.Ran) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		if p := programs[name]; p.Runs > 0 {
			texts = append(texts, fmt.Sprintf("%s %d × %.0f ns", name, p.Runs, p.Each()))
		}
	}
	return strings.Join(texts, ", ")
}

// more returns how much longer a packet takes than without rules, which is what iptables' verdict costs.
func more(without, with []time.Duration) string {
	if len(without) == 0 || len(with) == 0 {
		return "-"
	}
	return fmt.Sprintf("≈%d", (quartiles(with)[1] - quartiles(without)[1]).Nanoseconds())
}

// figure returns a median with its quartiles.
func figure(name string, times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	q := quartiles(times)
	switch name {
	case tcpRR:
		return fmt.Sprintf("%.0f (%.0f–%.0f)", perSecond(q[1]), perSecond(q[2]), perSecond(q[0]))
	case pingOne, pingMany:
		return fmt.Sprintf("%.1f (%.1f–%.1f)", micro(q[0+1]), micro(q[0]), micro(q[2]))
	}
	return fmt.Sprintf("%d (%d–%d)", q[1].Nanoseconds(), q[0].Nanoseconds(), q[2].Nanoseconds())
}

// ratio returns how many times longer the second takes.
func ratio(few, many []time.Duration) string {
	a, b := quartiles(few)[1], quartiles(many)[1]
	if a == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(b)/float64(a))
}

// extremes returns the cells of a way with the fewest and the most rules.
func extremes(cells []*cell, way string) (few, many *cell) {
	for _, c := range cells {
		if c.way != way {
			continue
		}
		if few == nil || c.load.rules < few.load.rules {
			few = c
		}
		if many == nil || c.load.rules > many.load.rules {
			many = c
		}
	}
	return few, many
}

func writeSwaps(w io.Writer, s *swapped) error {
	q := quartiles(s.times)
	fmt.Fprintf(w, "\n%d swaps of %d rules, %s ms each (%s–%s), under %d packets to be passed and as many to be dropped: "+
		"%d lost, %d passed that were to be dropped\n",
		s.swaps, s.rules, milliseconds(q[1]), milliseconds(q[0]), milliseconds(q[2]), s.sent, s.lost, s.leaked)
	if s.lost != 0 || s.leaked != 0 {
		return fmt.Errorf("%d packets lost and %d misjudged while rules were replaced", s.lost, s.leaked)
	}
	return nil
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func perSecond(d time.Duration) float64 { return float64(time.Second) / float64(d) }

func milliseconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000)
}
