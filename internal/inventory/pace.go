// SPDX-License-Identifier: Apache-2.0

package inventory

import "time"

// The pace at which it is looked for namespaces and into them, here and by who has that done. See
// budget for what bounds all of it together.
const (
	// Soon is after what time something that has changed is looked for again: it is not noticed
	// by people, and long enough for what changes in one go. Nobody waits longer for a look.
	Soon = 20 * time.Millisecond
	// Steady is how often it is looked again without a reason, and for how long something new
	// usually goes on changing.
	Steady = time.Second
	// Rest is the least pause after a look or after reading the names of all namespaces, in
	// multiples of the time that took; RestProcs is that after examining all processes.
	Rest      = 20
	RestProcs = 100

	// checkInterval is how often a file is read again that says whether something has changed, at
	// most, whatever the number of questions.
	checkInterval = 5 * time.Millisecond
	// retain is for how long what is gone keeps its name, for packets that were seen before.
	retain = time.Minute
)
