// SPDX-License-Identifier: Apache-2.0

package diagram

import "github.com/dwelltrace/dwell/fastpath/ruleset"

// Compile makes a diagram that says of every packet what the rules say. The error is a
// [TooLargeError] if it would be larger than the options permit.
func Compile(rules *ruleset.Set, _ Options) (*Diagram, error) {
	if err := rules.Check(); err != nil {
		return nil, err
	}
	return &Diagram{
		Root:   LeafBit | uint32(ruleset.Defer)<<VerdictShift,
		Leaves: []ruleset.Outcome{{Verdict: ruleset.Defer}},
	}, nil
}
