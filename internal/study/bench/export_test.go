// SPDX-License-Identifier: Apache-2.0

package bench

// Slope makes slope known to tests.
func Slope(x, y []float64) (perUnit, atZero float64) { return slope(x, y) }

// CompareRules makes compareRules known to tests.
func CompareRules(rules []int, c []*Collector) RuleStudy { return compareRules(rules, c) }

// SetNFTables is for the test of a system without iptables.
var SetNFTables = setNFTables
