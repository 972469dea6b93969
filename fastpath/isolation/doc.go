// SPDX-License-Identifier: Apache-2.0

// Package isolation decides whether a command of a tenant's can be confined to the tenant's own
// packets, and shows a packet of somebody else's if it cannot.
//
// The criterion is one of sets. R is the packets on which the rules before and after a command may
// differ, in the verdict or in a rule that counts them. O is the packets that others, which are other tenants, the
// host, and whoever is on ports of nobody's, send or receive at that hook. A command is safe if no packet is in
// both. A packet at a hook is a header and the devices by which it enters and leaves, and it is
// its place that makes it somebody's: two tenants may have the same addresses.
//
// In FORWARD of the table filter, a packet between two tenants is in neither's O. Each may
// refuse what it sends and what it receives, as its own hosts' firewalls could. In every
// other table and hook it is in O, because there a packet is changed, or is the host's.
//
// R is only ever too large: what a match that is not understood could match is in it. Not considered is
// what a rule remembers of other packets, such as a limit that the operator sets for
// all tenants together.
package isolation
