// SPDX-License-Identifier: Apache-2.0

// Package packet follows one packet through this host: from the events of a packet and
// of its copies to the journeys that they made, cut into leaves.
//
// It knows hooks and devices, and nothing of what the packet is for. Which events are
// those of one packet, that a reply answers a request, and how a ping ended is decided by
// package correlate, which knows nothing of hooks. So another kind of packet needs another
// policy there, and nothing here.
//
// # From events to journeys
//
// The events are put in order of time and followed from buffer to buffer into a tree
// whose branches are copies of the packet (tree.go). The branch that is the packet's own
// way is chosen (choose.go) and cut at every event into leaves (leaf.go). Each leaf
// ends at the event where the next begins, so that they tile the journey whatever the
// events are. What a leaf is called is decided by its two events and by what is known of
// their devices alone (steps.go, devices.go).
package packet
