// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dwelltrace/dwell/fastpath/firewall"
)

// listOptions say what dwell firewall list shows.
type listOptions struct {
	// family is 4 or 6, 0 for both.
	family int
	exact  bool
}

// listingText is like what iptables -vnL --line-numbers prints.
func listingText(l *firewall.Listing, o listOptions) string {
	var out strings.Builder
	for i := range l.Families {
		f := &l.Families[i]
		if o.family != 0 && o.family != f.Family {
			continue
		}
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		o.writeFamily(&out, f)
	}
	if len(l.Ports) > 0 {
		fmt.Fprintf(&out, "\nPorts of %s\n", l.Tenant)
		writePorts(&out, l.Ports)
	}
	if len(l.Problems) > 0 {
		out.WriteString("\nProblems\n")
		for _, p := range l.Problems {
			fmt.Fprintf(&out, "  %s\n", p)
		}
	}
	return out.String()
}

func (o listOptions) writeFamily(out *strings.Builder, f *firewall.FamilyListing) {
	if f.Place == firewall.IPTables && f.Nodes == 0 && !hasRules(f) {
		fmt.Fprintf(out, "IPv%d: %s", f.Family, f.Reason)
	} else {
		fmt.Fprintf(out, "IPv%d: %s: %s", f.Family, f.Place, f.Reason)
	}
	if f.Nodes > 0 {
		fmt.Fprintf(out, " (%s, %s)", counted(f.Nodes, "node"), bytesText(f.Bytes))
	}
	out.WriteString("\n")
	for _, c := range f.Chains {
		fmt.Fprintf(out, "Chain %s", c.Name)
		if c.Policy != "-" {
			fmt.Fprintf(out, " (policy %s %s packets, %s bytes)", c.Policy, o.number(c.Packets), o.number(c.Bytes))
		}
		out.WriteString("\n")
		rows := [][]string{{"num", "pkts", "bytes", "place", "target", "prot", "opt", "in", "out", "source", "destination", ""}}
		for _, r := range c.Rules {
			rows = append(rows, append([]string{strconv.Itoa(r.Number), o.number(r.Packets), o.number(r.Bytes), string(r.Place)}, columnsOf(r.Text, f.Family)...))
		}
		writeTable(out, rows, 3)
		writeReasons(out, c.Rules)
	}
}

// hasRules reports whether there is anything to decide about.
func hasRules(f *firewall.FamilyListing) bool {
	return slices.ContainsFunc(f.Chains, func(c firewall.ChainListing) bool { return len(c.Rules) > 0 || c.Policy == "DROP" })
}

// writeReasons says why iptables decides, once for all rules with the same reason.
func writeReasons(out *strings.Builder, rules []firewall.RuleListing) {
	var order []string
	numbers := map[string][]string{}
	for _, r := range rules {
		if r.Place != firewall.IPTables || r.Reason == "" {
			continue
		}
		if numbers[r.Reason] == nil {
			order = append(order, r.Reason)
		}
		numbers[r.Reason] = append(numbers[r.Reason], strconv.Itoa(r.Number))
	}
	for _, reason := range order {
		list := numbers[reason]
		if len(list) > shown {
			list = append(list[:shown:shown], "…")
		}
		fmt.Fprintf(out, "  %s by iptables: %s\n", strings.Join(list, ", "), reason)
	}
}

func writePorts(out *strings.Builder, ports []firewall.PortListing) {
	rows := [][]string{{"port", "program", "packets", "passed", "dropped", "deferred", "not IP", "ns/packet", ""}}
	for _, p := range ports {
		program, ns := p.Attached, "-"
		if program == "" {
			program = "none"
		}
		if p.Nanoseconds > 0 {
			ns = strconv.FormatFloat(p.Nanoseconds, 'f', 0, 64)
		}
		deferred, reasons := uint64(0), []string(nil)
		for _, reason := range slices.Sorted(maps.Keys(p.Deferred)) {
			if n := p.Deferred[reason]; n > 0 {
				deferred += n
				reasons = append(reasons, fmt.Sprintf("%s %d", reason, n))
			}
		}
		rows = append(rows, []string{
			p.Port, program, strconv.FormatUint(p.Packets, 10), strconv.FormatUint(p.Passed, 10), strconv.FormatUint(p.Dropped, 10),
			strconv.FormatUint(deferred, 10), strconv.FormatUint(notIP(&p, deferred), 10), ns, strings.Join(reasons, ", "),
		})
	}
	writeTable(out, rows, 8, 0, 1)
}

// notIP is how many frames were neither of IPv4 nor of IPv6, such as those of ARP: rules of iptables
// do not see them, and neither does a program judge them. The counts are read one after the other,
// while frames come in.
func notIP(p *firewall.PortListing, deferred uint64) uint64 {
	if judged := p.Passed + p.Dropped + deferred; judged < p.Packets {
		return p.Packets - judged
	}
	return 0
}

// writeTable writes rows, the first as many columns flush right as said, except some.
func writeTable(out *strings.Builder, rows [][]string, right int, left ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < right && !slices.Contains(left, i) {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// number returns a count as iptables prints it: from 100,000 on in thousands, and so on.
func (o listOptions) number(n uint64) string {
	if o.exact || n <= 99_999 {
		return strconv.FormatUint(n, 10)
	}
	const most = 9999
	for _, unit := range "KMGT" {
		if n = (n + 500) / 1000; n <= most || unit == 'T' {
			return strconv.FormatUint(n, 10) + string(unit)
		}
	}
	return ""
}

func bytesText(n int) string {
	if n < 10<<10 {
		return strconv.Itoa(n) + " bytes"
	}
	if n < 10<<20 {
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n>>20) + " MiB"
}
