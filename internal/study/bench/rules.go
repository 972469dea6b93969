// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// RuleStudy is what rules in the hypervisor's FORWARD chain that match nothing cost:
// the paper's conjecture of why the hypervisor takes so long.
type RuleStudy struct {
	Mode string `json:"mode"`
	// Tool made the rules, Example is one of them.
	Tool    string `json:"tool"`
	Example string `json:"example"`
	// Rules are the numbers of rules that were tried.
	Rules  []int     `json:"rules"`
	Counts Counts    `json:"counts"`
	RTT    RuleRow   `json:"rtt"`
	Ping   RuleRow   `json:"ping"`
	Rows   []RuleRow `json:"rows"`
}

// RuleRow is a span at each number of rules.
type RuleRow struct {
	Direction string `json:"direction"`
	Path      string `json:"path"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Role      string `json:"role"`
	Depth     int    `json:"depth"`
	Leaf      bool   `json:"leaf"`
	// Figures has one entry for each of RuleStudy.Rules. Its Count is 0 where no ping
	// had such a span.
	Figures []Figures `json:"figures"`
	// PerThousand is how many nanoseconds the median grows with 1,000 rules: the
	// slope of the least-squares line through the medians.
	PerThousand float64 `json:"p50_ns_per_1000_rules"`
}

// CheckRules says which numbers of rules cannot be tried.
func (c Config) CheckRules(mode string, rules []int) error {
	t, err := lab.Find(mode)
	if err != nil {
		return err
	}
	if _, ok := t.Space(lab.Hypervisor); !ok {
		return fmt.Errorf("--rules: mode %s has no hypervisor to put rules into", mode)
	}
	for _, n := range rules {
		if n < 0 || n > MaxRules {
			return fmt.Errorf("--rules %d: must be between 0 and %d", n, MaxRules)
		}
	}
	if n := len(rules) * c.Protocol.Batches; n > maxBatches {
		return fmt.Errorf("--rules: %d batches are too many: at most %d", n, maxBatches)
	}
	return nil
}

// Rules measures a mode with each number of rules. Their batches take turns in one
// lab, so that a drift of the machine is none of the rules'.
func (c Config) Rules(ctx context.Context, mode string, rules []int) (r RuleStudy, err error) {
	s, err := c.open(ctx, mode)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	tool, err := findRuleTool(ctx, s.hypervisor, c.Protocol.IPv6)
	if err != nil {
		return r, err
	}
	var collectors []*Collector
	for range rules {
		collectors = append(collectors, NewCollector(c.Protocol.Batches, s.roles))
	}
	counts, err := s.record(ctx, plan{
		batches: len(rules) * c.Protocol.Batches,
		before: func(ctx context.Context, batch int) error {
			return tool.set(ctx, s.hypervisor, rules[batch%len(rules)])
		},
		collector: func(batch int) (*Collector, int) { return collectors[batch%len(rules)], batch / len(rules) },
	})
	if err != nil {
		return r, fmt.Errorf("rules in %s: %w", mode, err)
	}
	r = compareRules(rules, collectors)
	r.Mode, r.Tool = mode, tool.name
	r.Example = fmt.Sprintf("-A FORWARD -s %s -j DROP", unusedSource(0, c.Protocol.IPv6))
	r.Counts.seen(counts)
	return r, nil
}

// compareRules puts the rows of equal paths together.
func compareRules(rules []int, collectors []*Collector) RuleStudy {
	r := RuleStudy{Rules: slices.Clone(rules), Counts: newCounts()}
	var paths []string
	at := map[string]*RuleRow{}
	for i, c := range collectors {
		r.Counts = r.Counts.plus(c.counts)
		place := 0
		for _, d := range c.Directions() {
			for _, row := range append([]Row{d.Whole}, d.Rows...) {
				if row.Count == 0 {
					continue
				}
				if at[row.Path] == nil {
					at[row.Path] = newRuleRow(d.Name, row, len(rules))
					paths = slices.Insert(paths, place, row.Path)
				}
				place = slices.Index(paths, row.Path) + 1
				at[row.Path].Figures[i] = row.Figures
			}
		}
	}
	for _, path := range paths {
		r.Rows = append(r.Rows, at[path].grown(rules))
	}
	r.RTT, r.Ping = overAll(rules, collectors, func(c *Collector) *series { return c.rtt }),
		overAll(rules, collectors, func(c *Collector) *series { return c.ping })
	return r
}

func newRuleRow(direction string, row Row, n int) *RuleRow {
	return &RuleRow{
		Direction: direction, Path: row.Path, Kind: row.Kind, Name: row.Name, Role: row.Role,
		Depth: row.Depth, Leaf: row.Leaf, Figures: make([]Figures, n),
	}
}

// overAll compares a series that every collector has.
func overAll(rules []int, collectors []*Collector, of func(*Collector) *series) RuleRow {
	var out *RuleRow
	for i, c := range collectors {
		row := of(c).finish()
		if out == nil {
			out = newRuleRow("", row, len(rules))
		}
		out.Figures[i] = row.Figures
	}
	return out.grown(rules)
}

// grown works out the growth, of the numbers of rules at which there was the span.
func (r *RuleRow) grown(rules []int) RuleRow {
	var x, y []float64
	for i, f := range r.Figures {
		if f.Count > 0 {
			x, y = append(x, float64(rules[i])), append(y, float64(f.P50))
		}
	}
	perRule, _ := slope(x, y)
	r.PerThousand = perRule * 1000
	return *r
}
