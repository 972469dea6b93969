// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// Shrink returns a smaller case on which differs still returns true: with as few frames as leaving out some at a
// time can find.
func Shrink(c *Case, differs func(*Case) bool) *Case {
	steps := c.Steps
	for size := max(1, len(steps)/2); ; size /= 2 {
		for at := 0; at < len(steps); {
			less := slices.Delete(slices.Clone(steps), at, min(at+size, len(steps)))
			if differs(&Case{c.Spec, less}) {
				steps = less
			} else {
				at += size
			}
		}
		if size <= 1 {
			return &Case{c.Spec, steps}
		}
	}
}

// String describes the case so that a person can repeat it.
func (c *Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "hypervisor %+v\n", c.Spec)
	for _, s := range c.Steps {
		fmt.Fprintf(&b, "into %s: %s%s\n", ports[s.End].name, frame.Parse(s.Frame.Bytes), s.Frame.Offload)
	}
	return b.String()
}
