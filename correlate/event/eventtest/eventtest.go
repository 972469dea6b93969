// SPDX-License-Identifier: Apache-2.0

// Package eventtest has a hook that does not exist, for tests of what knows the hooks
// only by their table: if that finds this one, it finds the next that is added.
package eventtest

import "github.com/dwelltrace/dwell/correlate/event"

// MadeUp returns the row of a tracepoint that no kernel has, behind all others in number
// and before all others on a packet's way.
func MadeUp() event.HookInfo {
	return event.HookInfo{
		Hook: 200, Name: "made_up", Class: event.Tracepoint, Place: 0, Inbound: true,
		Since: event.Version{Major: 99, Minor: 9},
	}
}
