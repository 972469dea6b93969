// SPDX-License-Identifier: Apache-2.0

// Package netfilter puts tenants' rules into iptables, reads their counters back and takes
// them out again.
//
// It runs the host's own iptables-restore and iptables-save, of whichever kind the host uses,
// because only they know every match and every kernel's quirk, and because what they write is
// what an operator's tools read. All of a tenant's rules of one family are put in by one
// transaction: there is no moment in which half of them are in force.
//
// A tenant's rules stand in chains of its own, below a chain "dwell" that is the first rule of
// FORWARD. See [Layout] for what becomes of ACCEPT, RETURN and policies there.
package netfilter
