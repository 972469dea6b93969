// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
)

// flowsOptions say what dwell fastpath flows shows.
type flowsOptions struct {
	limit int
	wide  bool
}

// flowsText is a table with a line for each direction. What may be long stands at the end.
func flowsText(flows []accelerator.FlowListing, o flowsOptions) string {
	head := []string{"next", "fast", "slow", "lease"}
	if o.wide {
		head = append(head, "bytes", "idle", "agreed", "longest", "in", "out")
	}
	rows := [][]string{append(head, "packet")}
	for i := range flows {
		for _, d := range []*accelerator.DirectionListing{flows[i].Forth, flows[i].Back} {
			if d != nil {
				rows = append(rows, flowRow(d, o))
			}
		}
	}
	var out strings.Builder
	writeTable(&out, rows, len(head), 0, len(head)-2, len(head)-1)
	if !o.wide {
		out.Reset()
		writeTable(&out, rows, len(head), 0)
	}
	return out.String()
}

func flowRow(d *accelerator.DirectionListing, o flowsOptions) []string {
	var n listOptions
	next := d.Reason
	if d.State == accelerator.StateFast || d.State == accelerator.StateShadow {
		next = d.State
	}
	lease := "-"
	if d.Lease > 0 {
		lease = seconds(d.Lease)
	}
	row := []string{next, n.number(d.Fast), n.number(d.Slow), lease}
	packet := d.Packet
	if d.ID != 0 {
		packet += " id " + strconv.Itoa(int(d.ID))
	}
	if o.wide {
		row = append(row, n.number(d.Bytes), seconds(d.Idle), n.number(uint64(d.Agreed)), strconv.FormatUint(uint64(d.Longest), 10), d.In, d.Out)
		packet += leaving(d)
	}
	return append(row, packet)
}

// leaving says what a packet is like when it leaves.
func leaving(d *accelerator.DirectionListing) (text string) {
	if d.VNI != 0 {
		text += fmt.Sprintf(", in VXLAN %d", d.VNI)
	}
	if d.After != "" {
		text += ", leaves as " + d.After
	}
	if d.NextHop != "" {
		text += ", next hop " + d.NextHop
	}
	return text
}

// seconds prints a duration that is not negative in a few characters.
func seconds(d time.Duration) string {
	if d >= 100*time.Second {
		return short(d.Round(time.Second)).String()
	}
	return strconv.FormatFloat(max(d, 0).Seconds(), 'f', 1, 64) + "s"
}

// whyText says why packets of a flow are slow.
func whyText(w *accelerator.Why) string {
	var out strings.Builder
	fmt.Fprintf(&out, "packet  %s\n", w.Packet)
	if w.Fast {
		out.WriteString("next    fast, in both directions\n")
	} else {
		out.WriteString("next    slow\n")
	}
	for _, r := range w.Reasons {
		of := r.Level
		switch r.Direction {
		case "from":
			of += ", from the tenant"
		case "to":
			of += ", to the tenant"
		}
		fmt.Fprintln(&out, wrapped(fmt.Sprintf("%s (%s): %s", r.Reason, of, r.Text), "why     ", "        "))
	}
	if len(w.Flows) > 0 {
		out.WriteString("\n" + flowsText(w.Flows, flowsOptions{}))
	}
	if w.Left > 0 {
		fmt.Fprintf(&out, "and %s more\n", counted(w.Left, "flow"))
	}
	if w.Watched > 0 {
		writeObserved(&out, w)
	}
	return out.String()
}

// writeObserved says what became of packets while they were counted.
func writeObserved(out *strings.Builder, w *accelerator.Why) {
	if len(w.Observed) == 0 {
		fmt.Fprintf(out, "\nNo packet was seen in %s.\n", seconds(w.Watched))
		return
	}
	fmt.Fprintf(out, "\nPackets seen in %s\n", seconds(w.Watched))
	rows := [][]string{{"packets", "", "packet", ""}}
	list := slices.Clone(w.Observed)
	slices.SortStableFunc(list, func(a, b accelerator.Observation) int { return cmp.Compare(b.Packets, a.Packets) })
	for _, seen := range list {
		rows = append(rows, []string{listOptions{}.number(seen.Packets), seen.Reason, seen.Packet, ""})
	}
	writeTable(out, rows, 1)
	said := map[string]bool{"fast": true}
	for _, seen := range list {
		if !said[seen.Reason] {
			said[seen.Reason] = true
			fmt.Fprintln(out, wrapped(seen.Reason+": "+seen.Text, "  ", "    "))
		}
	}
}

// width is that of a terminal for which lines are wrapped.
const width = 80

// wrapped puts text into lines, of which the first begins with one indent and the others with
// another. There is no line break at its end.
func wrapped(text, first, rest string) string {
	var out strings.Builder
	line := first
	empty := true
	for word := range strings.FieldsSeq(text) {
		switch {
		case empty:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			out.WriteString(line + "\n")
			line = rest + word
		default:
			line += " " + word
		}
		empty = false
	}
	return out.String() + line
}

// writeWrappedTable is writeTable for rows of which the last cell is a text, which goes on below
// itself.
func writeWrappedTable(out *strings.Builder, rows [][]string, right int, left ...int) {
	last := len(rows[0]) - 1
	before := 0
	for c := range last {
		widest := 0
		for _, row := range rows {
			widest = max(widest, utf8.RuneCountInString(row[c]))
		}
		before += widest + 2
	}
	indent := strings.Repeat(" ", max(min(before, width/2), 0))
	var all [][]string
	for _, row := range rows {
		for i, text := range strings.Split(wrapped(row[last], indent, indent), "\n") {
			cells := make([]string, last+1)
			if i == 0 {
				copy(cells, row)
			}
			cells[last] = strings.TrimPrefix(text, indent)
			all = append(all, cells)
		}
	}
	writeTable(out, all, right, left...)
}
