// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// ping is one ping as both sides saw it.
type ping struct {
	rtt time.Duration // what ping printed
	tracedPing
}

// match pairs what ping printed with the traces; neither may miss one.
func match(printed map[int]time.Duration, traces map[int]tracedPing) ([]ping, error) {
	if len(printed) != len(traces) {
		return nil, fmt.Errorf("ping printed %d replies, and there are %d traces", len(printed), len(traces))
	}
	var pings []ping
	for seq, rtt := range printed {
		t, ok := traces[seq]
		if !ok {
			return nil, fmt.Errorf("no trace of icmp_seq=%d", seq)
		}
		pings = append(pings, ping{rtt, t})
	}
	return pings, nil
}

// rows are the figures of the table.
var rows = []struct {
	what string
	of   func(ping) time.Duration
}{
	{"RTT that ping prints", func(p ping) time.Duration { return p.rtt }},
	{"root span", func(p ping) time.Duration { return p.root }},
	{"  of which deliver: arrival of the reply -> taken by ping", func(p ping) time.Duration { return p.deliver }},
	{"RTT - root", func(p ping) time.Duration { return p.rtt - p.root }},
	{"RTT - (root - deliver): ping's own sendto, to net_dev_queue", func(p ping) time.Duration { return p.rtt - p.root + p.deliver }},
}

// writeTable prints the distributions in microseconds.
func writeTable(w io.Writer, pings []ping) error {
	fmt.Fprintf(w, "%d pings, %d traces: each complete, each journey tiled by its leaves\n\n", len(pings), len(pings))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "min\tp50\tp90\tp99\tmax\t  µs")
	for _, r := range rows {
		var all []time.Duration
		for _, p := range pings {
			all = append(all, r.of(p))
		}
		slices.Sort(all)
		for _, q := range []float64{0, .5, .9, .99, 1} {
			fmt.Fprintf(t, "%.1f\t", float64(all[int(q*float64(len(all)-1)+.5)])/1e3)
		}
		fmt.Fprintf(t, "  %s\n", r.what)
	}
	return t.Flush()
}
