// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// Fact is something that a reader must know to judge the figures.
type Fact struct{ Name, Value string }

// facts are the machine and the protocol.
func facts(r *bench.Result) []Fact {
	p, m := r.Protocol, r.Machine
	family := "IPv4"
	if p.IPv6 {
		family = "IPv6"
	}
	machine := fmt.Sprintf("%d × %s (%s)", m.Cores, orUnknown(m.CPU), m.Arch)
	if m.Virtual {
		machine += ", a virtual machine"
	}
	return []Fact{
		{"protocol", fmt.Sprintf("%d batches of %d pings, one every %v, %s, after %d to warm up",
			p.Batches, p.Count, p.Interval, family, p.Warmup)},
		{"begun", r.Started.UTC().Format("2006-01-02 15:04:05 UTC") + ", took " + r.Ended.Sub(r.Started).Round(time.Second).String()},
		{"machine", machine},
		{"memory", fmt.Sprintf("%.1f GiB", float64(m.MemoryBytes)/(1<<30))},
		{"kernel", m.Kernel},
		{"clock source", orUnknown(m.Clocksource)},
		{"load before", orUnknown(m.Load)},
		{"command", r.Tool.Command},
		{"versions", strings.TrimSpace("dwell " + r.Tool.Dwell + ", " + r.Tool.Go)},
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
