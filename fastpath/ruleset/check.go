// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Check returns an error if judging could not come to an end: a chain that is jumped to is not there,
// or chains call each other in a circle, which iptables refuses, too.
func (s *Set) Check() error {
	c := checking{set: s, state: map[string]visit{}}
	if s.Chains[s.Base] == nil {
		return fmt.Errorf("there is no chain %q to begin with", s.Base)
	}
	if s.Policy != Pass && s.Policy != Drop {
		return fmt.Errorf("the policy of chain %q is neither to pass nor to drop", s.Base)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Chains)) {
		if err := c.visit(name); err != nil {
			return err
		}
	}
	return nil
}

type visit uint8

const (
	open visit = iota + 1
	done
)

type checking struct {
	set   *Set
	state map[string]visit
	path  []string
}

func (c *checking) visit(name string) error {
	switch c.state[name] {
	case done:
		return nil
	case open:
		circle := slices.Concat(c.path[slices.Index(c.path, name):], []string{name})
		return fmt.Errorf("chains call each other in a circle: %s", strings.Join(circle, ", "))
	}
	c.state[name] = open
	c.path = append(c.path, name)
	for i := range c.set.Chains[name].Rules {
		r := &c.set.Chains[name].Rules[i]
		if r.Action != Jump && r.Action != Goto {
			continue
		}
		if c.set.Chains[r.Target] == nil {
			return fmt.Errorf("rule %d of chain %q goes to chain %q, which does not exist", i+1, name, r.Target)
		}
		if err := c.visit(r.Target); err != nil {
			return err
		}
	}
	c.path = c.path[:len(c.path)-1]
	c.state[name] = done
	return nil
}
