// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// fastTables show what the fast path saves: all modes, then each by device and as the paper has it, with
// and without.
func fastTables(r *bench.Result) []Table {
	if len(r.Fast) == 0 {
		return nil
	}
	tables := []Table{fastOverview(r.Fast)}
	for i := range r.Fast {
		f := &r.Fast[i]
		tables = append(tables, savedTable(f))
		for _, way := range []struct {
			name string
			mode bench.Mode
		}{{"the kernel's way", f.Slow}, {"the fast path", f.Fast}} {
			way.mode.Name = fastName(f) + ", " + way.name
			tables = append(tables, modeTables(&way.mode)...)
		}
	}
	return tables
}

// fastName names a study among those of other modes, other numbers of rules and other intervals.
func fastName(f *bench.FastStudy) string {
	name := f.Mode
	if f.Rules > 0 {
		name = fmt.Sprintf("%s with %d rules", f.Mode, f.Rules)
	}
	if f.Interval == 0 {
		name += ", one after the other"
	}
	return name
}

// pace says when the pings of a study were sent.
func pace(f *bench.FastStudy) string {
	if f.Interval == 0 {
		return "one after the other"
	}
	return "every " + f.Interval.String()
}

// fastOverview compares the modes.
func fastOverview(all []bench.FastStudy) Table {
	t := Table{
		Title: "The kernel's way and the fast path",
		Note: "Medians in microseconds, and the fast path's share of the kernel's. Their batches were interleaved. Pings that are sent " +
			"one after the other find the caches warm. Host: the sum of what the host with the fast path is answerable for, in both directions; " +
			"forwarding: of it, without links, from arrival at a device until another sends, which is the one span hypervisor of the fast path. " +
			"By the kernel: pings of the fast path's batches that the kernel forwarded nonetheless, which count only in the round trip.",
		Heads: append(words("mode", "pings"), figures(
			"rules", "round trip", "fast", "ratio", "ping", "fast", "ratio", "host", "fast", "ratio", "forwarding", "fast", "ratio", "by the kernel")...),
	}
	for i := range all {
		f := &all[i]
		cells := []string{f.Mode, pace(f), strconv.Itoa(f.Rules)}
		for _, of := range []func(*bench.Mode) float64{
			func(m *bench.Mode) float64 { return float64(m.RTT.P50) },
			func(m *bench.Mode) float64 { return float64(m.Ping.P50) },
			func(m *bench.Mode) float64 { return medians(m, func(r *bench.Row) bool { return r.Role == f.Host }) },
			func(m *bench.Mode) float64 {
				return medians(m, func(r *bench.Row) bool { return r.Role == f.Host && r.Kind != trace.KindLink.String() })
			},
		} {
			cells = append(cells, compared(of(&f.Slow), of(&f.Fast))...)
		}
		t.Rows = append(t.Rows, TableRow{Cells: append(cells, strconv.Itoa(f.Fallen))})
	}
	return t
}

// compared writes two durations and the ratio of the second to the first.
func compared(slow, fast float64) []string {
	if slow == 0 || fast == 0 {
		return []string{"", "", ""}
	}
	return []string{micros(slow), micros(fast), strconv.FormatFloat(fast/slow, 'f', 2, 64)}
}

// medians adds up the medians of the parts of the way there and back that are wanted.
func medians(m *bench.Mode, want func(*bench.Row) bool) (sum float64) {
	for i := range m.Directions {
		for _, row := range m.Directions[i].Parts() {
			if want(&row) {
				sum += float64(row.P50)
			}
		}
	}
	return sum
}

// device is a part of a way by both.
type device struct {
	direction  string
	slow, fast *bench.Row
}

// devices puts the parts of both ways side by side, in the order of the kernel's. What the fast path alone has
// stands where it begins.
func devices(f *bench.FastStudy) []device {
	var all []device
	for i := range f.Slow.Directions {
		d := &f.Slow.Directions[i]
		at := len(all)
		for _, row := range d.Parts() {
			all = append(all, device{d.Name, &row, nil})
		}
		fast := f.Fast.Direction(d.Name)
		if fast == nil {
			continue
		}
		for _, row := range fast.Parts() {
			same := slices.IndexFunc(all[at:], func(o device) bool { return o.slow != nil && o.slow.Path == row.Path })
			if same < 0 {
				all = slices.Insert(all, at, device{d.Name, nil, &row})
				at++
				continue
			}
			all[at+same].fast = &row
			at += same + 1
		}
	}
	return all
}

// savedTable shows a mode by device.
func savedTable(f *bench.FastStudy) Table {
	t := Table{
		Title: fastName(f) + ": what the fast path saves",
		Note:  "Medians in microseconds, by the kernel's way and by the fast path, and what is saved. Devices that the fast path passes over are in bold.",
		Heads: append(words("direction", "span", "in"), figures("kernel", "fast path", "saved")...),
	}
	for _, d := range devices(f) {
		row := TableRow{Cells: []string{d.direction, "", "", "", "", ""}, Strong: d.fast == nil}
		saved := 0.0
		for _, way := range []struct {
			of   *bench.Row
			cell int
			sign float64
		}{{d.slow, 3, 1}, {d.fast, 4, -1}} {
			if way.of == nil {
				continue
			}
			row.Cells[1], row.Cells[2] = way.of.Name, way.of.Role
			row.Cells[way.cell] = microsOf(way.of.P50)
			saved += way.sign * float64(way.of.P50)
		}
		row.Cells[5] = micros(saved)
		t.Rows = append(t.Rows, row)
	}
	whole := compared(float64(f.Slow.Ping.P50), float64(f.Fast.Ping.P50))
	t.Rows = append(t.Rows, TableRow{
		Cells: []string{"", "ping", "", whole[0], whole[1], micros(float64(f.Slow.Ping.P50 - f.Fast.Ping.P50))}, Sum: true,
	})
	return t
}

// fastChart compares the two ways of each mode, device by device.
func fastChart(r *bench.Result) scene {
	c := newCharter()
	longest := 0.0
	for i := range r.Fast {
		for _, m := range []*bench.Mode{&r.Fast[i].Slow, &r.Fast[i].Fast} {
			for j := range m.Directions {
				longest = max(longest, total(&m.Directions[j]))
				for cat := range sums(&m.Directions[j]) {
					c.used = append(c.used, cat)
				}
			}
		}
	}
	top := c.begin("What the fast path saves", "Mean time by device, in microseconds: the kernel's way above, the fast path below", longest)
	for i := range r.Fast {
		c.study(&r.Fast[i])
	}
	c.axis(top, longest)
	c.height = c.y + chartMargin
	return c.scene
}

// study draws the bars of a mode.
func (c *charter) study(f *bench.FastStudy) {
	c.text(label{x: chartMargin, y: c.y + barHeight*0.68, text: fastName(f), size: 13, bold: true, ink: inkText})
	c.y += barHeight
	for i := range f.Slow.Directions {
		name := f.Slow.Directions[i].Name
		for _, way := range []struct {
			name string
			of   *bench.Mode
		}{{"kernel", &f.Slow}, {"fast path", &f.Fast}} {
			if d := way.of.Direction(name); d != nil {
				c.pieces(fastName(f)+", "+name+", "+way.name, name+", "+way.name, byDevice(d))
			}
		}
		c.y += barGap
	}
	c.y += groupGap - 2*barGap
}

// byDevice returns the parts of a direction in the order of the way.
func byDevice(d *bench.Direction) (parts []piece) {
	kinds := categories(d)
	for i, row := range d.Rows {
		if row.Depth == 0 {
			parts = append(parts, piece{kinds[i], row.Name, row.Mean * share(d, row)})
		}
	}
	return parts
}
