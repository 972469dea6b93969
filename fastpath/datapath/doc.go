// SPDX-License-Identifier: Apache-2.0

// Package datapath is the firewall's programs in the kernel: one at the TC ingress of a tenant's
// ports, and five that iptables calls in FORWARD by its match "bpf".
//
// A program says only what it is sure of, and leaves all else to whoever comes next: TC to
// FORWARD, FORWARD to the tenant's rules in iptables. So nothing has to be complete here, and
// nothing is open if a program is missing.
//
// Each tenant has programs and maps of its own, pinned in a directory of bpffs, which stay in
// force when the agent ends; the next one adopts them. Rules are swapped by one update of a
// map: a packet is judged by the old rules or by the new.
//
// Linux 6.1 is needed. What came later is used where it is there: TCX (6.6), bpf_fib_lookup
// with a mark (6.10), and zones in bpf_skb_ct_lookup (6.11); without the last two a packet
// that needs them is not dropped at TC.
package datapath
