// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// The paper's protocol.
const (
	DefaultBatches  = 10
	DefaultCount    = 100
	DefaultInterval = 10 * time.Millisecond
	DefaultWarmup   = 5
	// DefaultPrefix begins the names of the bench's namespaces.
	DefaultPrefix = "dwell-bench"
)

// maxBatches bounds the batches that are sent in one lab: each has an echo identifier
// of its own, of 16 bits.
const maxBatches = 20_000

// Config says what to measure and how.
type Config struct {
	Protocol Protocol
	// Prefix begins the names of the namespaces of the labs.
	Prefix string
	// Start records what happens in a lab.
	Start StartFunc
	// FastPath makes the fast path that [Config.FastStudy] compares with the kernel's way.
	FastPath FastPathFunc
	// OnPing is called for every reply to a ping that is measured, or nil.
	OnPing func()
}

func (c Config) step() {
	if c.OnPing != nil {
		c.OnPing()
	}
}

// interval is that of the protocol; a flood waits only for replies that never come.
func (c Config) interval(flood bool) time.Duration {
	if flood {
		return 0
	}
	return c.Protocol.Interval
}

// Modes returns the names of the modes in the paper's order: the bridge in a
// namespace of its own comes first, because its table is the paper's first.
func Modes() []string {
	var names []string
	for _, t := range lab.Paper() {
		names = append(names, t.Name)
	}
	if i := slices.Index(names, "bridge-namespaces"); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, "bridge-namespaces")
	}
	return names
}

// Check says what cannot be measured as configured.
func (c Config) Check(modes ...string) error {
	p := c.Protocol
	switch {
	case p.Batches < 1 || p.Batches > maxBatches:
		return fmt.Errorf("--batches %d: must be between 1 and %d", p.Batches, maxBatches)
	case p.Count < 1 || p.Count > 65_535:
		return fmt.Errorf("--count %d: must be between 1 and 65535, the number of sequence numbers", p.Count)
	case p.Interval <= 0:
		return fmt.Errorf("--interval %v: must be more than 0", p.Interval)
	case p.Warmup < 0:
		return fmt.Errorf("--warmup %d: must not be negative", p.Warmup)
	}
	for _, name := range modes {
		t, err := lab.Find(name)
		if err != nil {
			return err
		}
		if p.IPv6 && !t.Target6.IsValid() {
			return fmt.Errorf("mode %s has no IPv6", name)
		}
	}
	return nil
}

// Mode measures one topology: its lab is made, and removed whatever happens. If ctx
// ends, the error is its cause and there is no Mode: half a measurement is none.
func (c Config) Mode(ctx context.Context, name string) (m Mode, err error) {
	s, err := c.open(ctx, name)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	collector := NewCollector(c.Protocol.Batches, s.roles)
	counts, err := s.record(ctx, plan{
		batches:   c.Protocol.Batches,
		collector: func(batch int) (*Collector, int) { return collector, batch },
	})
	if err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	m = collector.Mode()
	m.Name, m.Summary = name, s.lab.Topology().Summary
	m.Target = s.lab.Target(c.Protocol.IPv6).String()
	m.Counts.seen(counts)
	return m, nil
}
