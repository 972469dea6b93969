// SPDX-License-Identifier: Apache-2.0

// Package shortcut joins both sides, and takes hooks for what their numbers are.
package shortcut

import (
	"cmp"

	_ "github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	_ "github.com/dwelltrace/dwell/exporter"
)

func seen(events []event.Event, wire uint8) bool {
	for _, ev := range events {
		if ev.Hook == event.First { // which is fine
			return wire < uint8((ev.Hook))
		}
	}
	return len(events) > 1 // as is this
}

func order(a, b *event.Event) int { return cmp.Compare(a.Hook, b.Hook) }

type alias = event.Hook

func next(h alias) alias {
	h += 1
	return max(cmp.Or(h, event.First), event.Last) // Or compares no order
}

func distance(a, b event.Hook) int { return int(a) - int(b) }
