// SPDX-License-Identifier: Apache-2.0

// Package iptables reads and prints rules as iptables does, edits chains as its commands do, and
// translates rules into sets of packets.
//
// What it does not understand, it keeps word for word: such a rule is still a rule of iptables,
// and the packets that it may match are left to iptables. To tell where an unknown match ends,
// and not to read the argument of one option as another option, there is a table of all options
// of all extensions that iptables has. A rule with an extension that not even the table has is
// opaque from there on: nothing after it is believed.
package iptables
