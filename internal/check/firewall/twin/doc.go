// SPDX-License-Identifier: Apache-2.0

// Package twin asks the kernel whether dwell's firewall says the same as iptables.
//
// Two hypervisors are alike to the last address, each in namespaces of its own. In the one
// the tenant's rules are in iptables alone, where no program of dwell's touches a packet; in the
// other they are put where dwell puts them. Both get the same frames in the same order. What
// comes out of each device, the ICMP errors that routers send, what connection tracking knows
// at the end, and what each rule counted must be equal. Nothing of what iptables should say is
// written down here: the kernel says it.
//
// The reference is translated as little as can be: the rules are in a chain of table mangle,
// where ACCEPT ends that table alone, as it is to end the tenant's chain alone, and where
// DROP is as final as anywhere.
package twin
