// SPDX-License-Identifier: Apache-2.0

package inventory

import "time"

// The pace at which it is looked for namespaces and into them, here and by who has that done: all
// times are multiples of two, of what people do not notice and of what they do not mind. See
// budget for what bounds all of it together.
const (
	// Soon is after what time something that has changed is looked for again: it is not noticed
	// by people, and long enough for what changes in one go. Nobody waits longer for a look, nor
	// for the look at another namespace.
	Soon = 20 * time.Millisecond
	// Steady is how often it is looked again without a reason, and for how long something new
	// usually goes on changing.
	Steady = time.Second
	// Rest is the least pause after a look or after reading the names of all namespaces, in
	// multiples of the time that took; RestProcs is that after examining all processes.
	Rest      = 20
	RestProcs = 100

	// checkInterval is how often it is asked without a look whether something has changed, at most,
	// whatever the number of questions: a file, or the kernel's notifications. A trace is
	// made no sooner after its last event than correlate.Options.Grace, which is longer.
	checkInterval = Soon / 4
	// settled is how old a directory's time must be to be sure that a later change gives it
	// another one: file systems count in ticks of up to 10 ms.
	settled = 5 * Soon / 2
	// longestWait is how long to wait for the budget at most before trying again.
	longestWait = 5 * Soon
	// ovsTimeout bounds a query of Open vSwitch's database, netlinkTimeout a request to the kernel,
	// in a namespace whose locks are held by another process.
	ovsTimeout     = Steady / 2
	netlinkTimeout = 2 * Steady
	// ovsMaxAge is for how long an answer of Open vSwitch's database is good, because a port may
	// be moved to another bridge, retain for how long what is gone keeps its name, for packets
	// that were seen before.
	ovsMaxAge = 10 * Steady
	retain    = 60 * Steady
)
