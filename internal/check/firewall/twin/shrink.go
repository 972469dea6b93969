// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"fmt"
	"slices"
	"strings"
)

// Shrink returns a smaller case on which differs still returns true: with as few frames and rules
// as leaving out some at a time can find.
func Shrink(c *Case, differs func(*Case) bool) *Case {
	for {
		before := len(c.Steps) + len(c.Rules.Lines) + len(c.Rules.Operator)
		c = shrinkSteps(c, differs)
		c = shrinkRules(c, differs)
		if len(c.Steps)+len(c.Rules.Lines)+len(c.Rules.Operator) == before {
			return c
		}
	}
}

func shrinkSteps(c *Case, differs func(*Case) bool) *Case {
	steps := shrinkList(c.Steps, func(s []Step) bool { return differs(&Case{c.Rules, s}) })
	return &Case{c.Rules, steps}
}

func shrinkRules(c *Case, differs func(*Case) bool) *Case {
	rules := *c.Rules
	rules.Lines = shrinkList(rules.Lines, func(l []string) bool {
		r := rules
		r.Lines = l
		return differs(&Case{&r, c.Steps})
	})
	rules.Operator = shrinkList(rules.Operator, func(l []string) bool {
		r := rules
		r.Operator = l
		return differs(&Case{&r, c.Steps})
	})
	return &Case{&rules, c.Steps}
}

// shrinkList leaves out halves, quarters and so on as long as holds holds.
func shrinkList[T any](list []T, holds func([]T) bool) []T {
	for size := max(1, len(list)/2); ; size /= 2 {
		for at := 0; at < len(list); {
			less := slices.Delete(slices.Clone(list), at, min(at+size, len(list)))
			if holds(less) {
				list = less
			} else {
				at += size
			}
		}
		if size <= 1 {
			return list
		}
	}
}

// String describes the case so that a person can repeat it.
func (c *Case) String() string {
	var b strings.Builder
	for _, o := range c.Rules.Operator {
		fmt.Fprintf(&b, "operator: %s\n", strings.ReplaceAll(strings.TrimSpace(o), "\n", "\n          "))
	}
	fmt.Fprintf(&b, "tenant:   %s\n", strings.ReplaceAll(strings.TrimSpace(c.Rules.Tenant()), "\n", "\n          "))
	for _, s := range c.Steps {
		fmt.Fprintf(&b, "frame into %s: %s %x\n", ports[s.End].name, summary(s.Frame), s.Frame)
	}
	return b.String()
}
