// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

func newFastPathStatusCommand(f *fastPathFlags) *cobra.Command {
	var exact bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a tenant's fast path is, and how many packets took it",
		Long: `Show how a tenant's fast path is: its mode, what is in the way if nothing is sent fast, how
many packets were sent fast and why others were not, and at which devices the programs are.
Without --tenant, all tenants that the caller may see; for an operator, everybody's.

Compared are packets that took the kernel's own way although the fast path knew the flow. "differ"
must be 0: it counts those that the kernel treated otherwise than was foretold.`,
		Example: `  dwell fastpath status --tenant red
  dwell fastpath status                            # of all tenants, for operators
  watch -n1 dwell fastpath status --tenant red
  dwell fastpath status --tenant red --json | jq '.tenants[].from.slow'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.tenant == "" {
				return f.ask(cmd, func(ctx context.Context, a *askedFastPath) error { return a.statusOfAll(ctx, exact) })
			}
			return f.run(cmd, func(ctx context.Context, a *askedFastPath) error {
				s, err := a.fastPath.Status(ctx, a.query())
				if err != nil {
					return a.failed(ctx, err)
				}
				return a.print(s, statusText(s, exact))
			})
		},
	}
	cmd.Flags().BoolVarP(&exact, "exact", "x", false, "print numbers in full, and not rounded to K, M or G")
	return cmd
}

// statusOfAll prints how the fast paths of all tenants are that the caller may see.
func (a *askedFastPath) statusOfAll(ctx context.Context, exact bool) error {
	all, err := a.agent.client.Tenants(ctx)
	if err != nil {
		return a.failed(ctx, err)
	}
	list, text := []*accelerator.Status{}, ""
	for i, t := range all.Tenants {
		a.agent.tenant, a.flags.tenant = t.ID, t.ID
		s, err := a.fastPath.Status(ctx, a.query())
		if err != nil {
			return a.failed(ctx, err)
		}
		list, text = append(list, s), text+strings.Repeat("\n", min(i, 1))+statusText(s, exact)
	}
	if len(list) == 0 {
		text = "There are no tenants, or none that you may see.\n"
	}
	return a.print(list, text)
}

// statusText says how the fast path is.
func statusText(s *accelerator.Status, exact bool) string {
	var out strings.Builder
	for _, line := range stopped(s) {
		fmt.Fprintln(&out, wrapped(line, "", ""))
	}
	for i := range s.Tenants {
		writeTenantStatus(&out, &s.Tenants[i], listOptions{exact: exact})
	}
	if len(s.Devices) > 0 {
		out.WriteString("\n")
		writeDevices(&out, s.Devices)
	}
	problems := slices.Clone(s.Problems)
	for i := range s.Tenants {
		problems = append(problems, s.Tenants[i].Problems...)
	}
	if len(problems) > 0 {
		out.WriteString("\nProblems\n")
		for _, p := range problems {
			fmt.Fprintln(&out, wrapped(p, "  ", "    "))
		}
	}
	return out.String()
}

// stopped says what keeps everything off the fast path.
func stopped(s *accelerator.Status) (lines []string) {
	asked := slices.ContainsFunc(s.Tenants, func(t accelerator.TenantStatus) bool { return t.Mode != flow.Off })
	switch {
	case !s.Supported:
		lines = append(lines, "There is no fast path here: "+s.Unsupported)
	case !asked:
	case !s.Attended:
		lines = append(lines, "Nothing is sent fast: the agent cannot notice changes now.")
	case s.Held:
		text := "Nothing is sent fast at the moment, for " + short(s.HeldFor).String() + " now, because it is being found out what a change means"
		if s.HeldBecause != "" {
			text += ": " + s.HeldBecause
		}
		lines = append(lines, text)
	}
	return lines
}

func writeTenantStatus(out *strings.Builder, t *accelerator.TenantStatus, o listOptions) {
	fmt.Fprintf(out, "Tenant %s: %s", t.Tenant, t.Mode)
	if t.Mode != flow.Off {
		fmt.Fprintf(out, ", %d of %s known; %d approved", t.Flows, counted(t.Capacity, "direction"), t.Approved)
		if n := sum(t.Refused); n > 0 {
			fmt.Fprintf(out, ", %d refused (%s)", n, byReason(t.Refused))
		}
		if t.Waiting > 0 {
			fmt.Fprintf(out, ", %d waiting", t.Waiting)
		}
	}
	out.WriteString("\n")
	for _, why := range t.Blocked {
		fmt.Fprintln(out, wrapped("Nothing is sent fast: "+why, "", "  "))
	}
	if t.Mode == flow.Off {
		return
	}
	rows := [][]string{{"", "fast", "slow", "% fast", "bytes fast", "learnt", "same", "differ"}}
	for _, d := range []struct {
		name string
		c    *accelerator.Counts
	}{{"from " + t.Tenant, &t.From}, {"to " + t.Tenant, &t.To}} {
		slow, share := sum(d.c.Slow), "-"
		if all := d.c.Fast + slow; all > 0 {
			share = strconv.FormatFloat(100*float64(d.c.Fast)/float64(all), 'f', 1, 64)
		}
		rows = append(rows, []string{d.name, o.number(d.c.Fast), o.number(slow), share, o.number(d.c.Bytes), o.number(d.c.Learnt), o.number(d.c.Same), o.number(d.c.Differ)})
	}
	writeTable(out, rows, 8, 0)
	writeWhy(out, "slow because", t.From.Slow, t.To.Slow, o)
	writeWhy(out, "not learnt because", t.From.Unlearnt, t.To.Unlearnt, o)
}

// writeWhy says why packets from and to the tenant were slow, or taught nothing, the most frequent
// reason first.
func writeWhy(out *strings.Builder, title string, from, to map[string]uint64, o listOptions) {
	all := map[string]uint64{}
	for _, counts := range []map[string]uint64{from, to} {
		for reason, n := range counts {
			all[reason] += n
		}
	}
	rows := [][]string{{title, "from", "to", ""}}
	for _, word := range slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b)) }) {
		if all[word] == 0 {
			continue
		}
		text := ""
		if r, ok := flow.ReasonOf(word); ok {
			text = r.Text()
		}
		rows = append(rows, []string{word, o.number(from[word]), o.number(to[word]), text})
	}
	if len(rows) > 1 {
		writeWrappedTable(out, rows, 3, 0)
	}
}

func writeDevices(out *strings.Builder, devices []accelerator.DeviceStatus) {
	rows := [][]string{{"device", "what", "programs", ""}}
	for _, d := range devices {
		what, programs, note := "network card", "attached", d.Blocked
		if d.Tenant != "" {
			what = "port of " + d.Tenant
		}
		if !d.Attached {
			programs = "none"
		}
		if note != "" {
			note = "blocked: " + note
		} else if d.Peer {
			note = "direct to the guest's end"
		}
		rows = append(rows, []string{d.Name, what, programs, note})
	}
	writeWrappedTable(out, rows, 0)
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// byReason lists counts.
func byReason(m map[string]uint64) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(m)) {
		if m[reason] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", reason, m[reason]))
		}
	}
	return strings.Join(parts, ", ")
}
