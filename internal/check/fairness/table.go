// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// median returns the value in the middle; of two the lower. Of none it is 0.
func median(values []time.Duration) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

func writeTable(w io.Writer, cfg config, untraced, traced result) error {
	fmt.Fprintf(w, "%d rounds of %v each, %d processes of red flood, blue pings every %v\n\n", cfg.rounds, cfg.length, cfg.senders, cfg.interval)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tblue's RTT p50\tratio\tblue's pings\tanswered\ttraced\tcomplete\tred's pings\ttraced\tincomplete\tleft out\tevents lost\t")
	for _, row := range []struct {
		name string
		result
	}{{"untraced", untraced}, {"traced", traced}} {
		ratio := float64(median(row.rtts)) / float64(max(1, median(untraced.rtts)))
		fmt.Fprintf(t, "%s\t%v\t%.2f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", row.name, median(row.rtts), ratio,
			row.sent, len(row.rtts), row.blue, row.complete, row.red, row.others, row.untrue, row.leftOut, row.lost)
	}
	return t.Flush()
}

// verdict returns an error if anything was taken from blue. Times are for people to judge.
func verdict(traced result) error {
	if traced.complete != traced.sent || traced.blue != traced.sent || traced.lost > 0 || traced.untrue > 0 {
		const most = 10
		why := append([]string{""}, traced.why[:min(most, len(traced.why))]...)
		return fmt.Errorf("%d of blue's %d pings are traced completely, %d traces of red's are incomplete, %d events are lost%s",
			traced.complete, traced.sent, traced.untrue, traced.lost, strings.Join(why, "\n  "))
	}
	return nil
}
