// SPDX-License-Identifier: Apache-2.0

// Package listing reads and writes events as text, one line an event, in the form
// in which the paper printed them:
//
//	[ 4026532201] brovsns-ns request 192.168.0.10 -> 8.8.8.8 net_dev_queue 3371013232722767
//
// That is the inode number of the network namespace, the interface, the type, the
// addresses, the function and the timestamp in nanoseconds; ours have the name of
// the namespace after its number. The reader takes what the authors' screenshots
// hold besides: a header or none, blanks or tabs, and the figures that their script
// printed between the lines.
//
// Which devices are the two ends of a pair is not in a listing; it is inferred from the
// order of the lines, see [event.Pairs].
//
// A listing is for people. It has neither sequence numbers nor payloads nor buffers, so
// that pings that were under way at the same time cannot be distinguished in it. For a
// copy that loses nothing there is package recording, and for other programs [JSON].
package listing
