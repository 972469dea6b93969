// SPDX-License-Identifier: Apache-2.0

package ruleset

import "math"

// Longest returns of how many rules a packet could be asked at most: a chain counts as often as it is
// jumped to. Chains that each jump twice to the next make that number double with each chain, and
// iptables would be busy with one packet for seconds. The set must have passed [Set.Check]. It is
// [math.MaxInt] if it is more than can be counted.
func (s *Set) Longest() int {
	return s.longest(s.Base, map[string]int{})
}

func (s *Set) longest(chain string, known map[string]int) int {
	if n, ok := known[chain]; ok {
		return n
	}
	sum := 0
	for i := range s.Chains[chain].Rules {
		r := &s.Chains[chain].Rules[i]
		n := 1
		if r.Action == Jump || r.Action == Goto {
			n = add(n, s.longest(r.Target, known))
		}
		sum = add(sum, n)
	}
	known[chain] = sum
	return sum
}

// add returns the sum of two numbers that are not negative, or the largest number.
func add(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}
