// SPDX-License-Identifier: Apache-2.0

// Package correlate turns kernel events into traces: events to packets, packets
// to pings, pings to spans.
//
// It is pure Go. It needs no kernel, no privileges and no clock of its own: time
// is what the events say and what the caller passes to [Correlator.Advance]. That
// makes it testable from lists of events, and a recording replayed gives the same
// traces as the live run.
//
// # From event to ping
//
// Which ping an event belongs to is decided when it comes in, from the packet's
// content alone: the sequence number and the first bytes of the payload, which no
// bridge, router, NAT or tunnel changes ([Identify]). Only where the payload is
// the same in every packet do addresses and identifier decide, and then the
// address of the kernel's buffer helps across a NAT (see table).
//
// # From ping to trace
//
// Nothing else is decided until the ping is over and the slowest CPU has had time
// to report (Options.Grace). Then its events are put in order of time, followed
// from buffer to buffer into a tree whose branches are copies of the packet
// (path.go), and the branch that was delivered is cut at every event into leaves
// (leaf.go). So the order in which events come in does not matter, and the leaves
// tile a journey by construction: each ends at the event where the next begins.
package correlate
