// SPDX-License-Identifier: Apache-2.0

// Package event is what breaks no rule.
package event

// Hook is a number that means nothing.
type Hook uint8

// The hooks.
const (
	First Hook = 1 + iota
	Last
)

// Type is what a packet is for.
type Type uint8

// EchoRequest is a type.
const EchoRequest Type = 1

// Event was seen at a hook.
type Event struct{ Hook Hook }

// known may ask for the number: this is the package of the table.
func known(h Hook) bool { return h <= Last }
