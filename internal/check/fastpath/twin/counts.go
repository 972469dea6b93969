// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Counts says what became of packets, of all tenants and in both directions.
type Counts struct {
	Fast, Bytes, Same, Differ, Learnt uint64
	// Slow says why packets were left to the kernel, Unlearnt why nothing was learnt from them.
	Slow, Unlearnt map[flow.Reason]uint64
}

func (c *Counts) add(b *bypass.Counts) {
	c.Fast += b.Fast
	c.Bytes += b.Bytes
	c.Same += b.Same
	c.Differ += b.Differ
	c.Learnt += b.Learnt
	for r, n := range b.Slow {
		c.Slow[r] += n
	}
	for r, n := range b.Unlearnt {
		c.Unlearnt[r] += n
	}
}

// Share is which part of the packets was sent fast.
func (c *Counts) Share() float64 {
	all := c.Fast
	for _, n := range c.Slow {
		all += n
	}
	return float64(c.Fast) / float64(max(1, all))
}

// String says all in a line, reasons by number.
func (c *Counts) String() string {
	return fmt.Sprintf("%d fast (%.0f %%), %d foretold, %d mistaken, %d learnt; slow: %s; not learnt from: %s",
		c.Fast, 100*c.Share(), c.Same, c.Differ, c.Learnt, reasons(c.Slow), reasons(c.Unlearnt))
}

func reasons(m map[flow.Reason]uint64) string {
	var texts []string
	for _, r := range slices.SortedFunc(maps.Keys(m), func(a, b flow.Reason) int { return int(m[b]) - int(m[a]) }) {
		texts = append(texts, fmt.Sprintf("%s %d", r, m[r]))
	}
	return strings.Join(texts, ", ")
}
