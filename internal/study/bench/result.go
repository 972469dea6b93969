// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"slices"
	"time"
)

// Version is that of the Result's JSON. It changes when a reader of the old form
// would misread the new one.
const Version = 1

// Result is what a run of the study found.
type Result struct {
	Version  int       `json:"version"`
	Tool     Tool      `json:"tool"`
	Machine  Machine   `json:"machine"`
	Protocol Protocol  `json:"protocol"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Modes    []Mode    `json:"modes,omitempty"`
	// Rules is what firewall rules cost, if that was asked for.
	Rules []RuleStudy `json:"rules,omitempty"`
	// Fast is what a fast path saves, if that was asked for.
	Fast []FastStudy `json:"fast,omitempty"`
	// Calibration is what the tracing itself adds, if that was asked for.
	Calibration []Calibration `json:"calibration,omitempty"`
}

// Tool is what the study was run with.
type Tool struct {
	Dwell   string `json:"dwell"`
	Go      string `json:"go"`
	Command string `json:"command"`
}

// Protocol is how the pings were sent.
type Protocol struct {
	Batches int `json:"batches"`
	// Count is how many pings a batch has.
	Count    int           `json:"count"`
	Interval time.Duration `json:"interval_ns"`
	// Warmup is how many pings went before them, unmeasured: the first has to wait
	// for neighbours to be resolved.
	Warmup int  `json:"warmup"`
	IPv6   bool `json:"ipv6"`
}

// Mode is one topology.
type Mode struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Target  string `json:"target"`
	Counts  Counts `json:"counts"`
	// RTT is the round trip as the pinger saw it: the ping, and the way from the
	// system call to the first hook and from the last hook to the process.
	RTT Row `json:"rtt"`
	// Ping is the root span: first hook to delivery of the reply.
	Ping       Row         `json:"ping"`
	Directions []Direction `json:"directions"`
	// Typical is the ping with the median duration, Slowest that with the longest.
	Typical *Waterfall `json:"typical,omitempty"`
	Slowest *Waterfall `json:"slowest,omitempty"`
}

// The directions.
const (
	Request = "request"
	Between = "between"
	Reply   = "reply"
)

// Direction is the way there or the way back, or what lies between.
type Direction struct {
	Name string `json:"name"`
	// Whole is the journey. Its rows of depth 0 sum to it.
	Whole Row   `json:"whole"`
	Rows  []Row `json:"rows"`
}

// Direction returns the named one, or nil.
func (m *Mode) Direction(name string) *Direction {
	for i := range m.Directions {
		if m.Directions[i].Name == name {
			return &m.Directions[i]
		}
	}
	return nil
}

// Parts returns the rows that tile the journey.
func (d *Direction) Parts() []Row {
	return slices.DeleteFunc(slices.Clone(d.Rows), func(r Row) bool { return r.Depth > 0 })
}

// Row is one span on the path, over all pings.
type Row struct {
	// Path is the row's place in the tree: the names from the journey down.
	Path string `json:"path"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Role is the lab's name for the namespace.
	Role  string `json:"role"`
	Depth int    `json:"depth"`
	Leaf  bool   `json:"leaf"`
	// Batches has one entry a batch.
	Batches []Batch `json:"batches"`
	Figures
}

// Batch is one column of the paper's tables.
type Batch struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean_ns"`
}

// Troubles says in which parts of the study something went wrong. It is empty if
// the figures stand for every ping that was sent.
func (r *Result) Troubles() []string {
	var out []string
	say := func(where string, c Counts) {
		for _, t := range c.Troubles() {
			out = append(out, where+": "+t)
		}
	}
	for _, m := range r.Modes {
		say(m.Name, m.Counts)
	}
	for _, s := range r.Rules {
		say("rules in "+s.Mode, s.Counts)
	}
	for _, f := range r.Fast {
		where := "fast path in " + f.Mode
		if f.Interval == 0 {
			where += ", one after the other"
		}
		say(where, f.Slow.Counts.plus(f.Fast.Counts))
		if n := f.Fast.Counts.Complete; f.Fallen*2 > n {
			out = append(out, fmt.Sprintf("%s: only %d of %d pings took it", where, n-f.Fallen, n))
		}
	}
	for _, c := range r.Calibration {
		say("calibration in "+c.Mode, c.Counts)
		if c.Unanswered > 0 {
			out = append(out, fmt.Sprintf("calibration in %s: %d untraced pings were not answered", c.Mode, c.Unanswered))
		}
	}
	return out
}
