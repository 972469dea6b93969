// SPDX-License-Identifier: Apache-2.0

// Package header is the space of packets in which a firewall's rules are sets: what of a packet
// a rule can look at, as words of 32 bits.
//
// Everything that judges a packet shares it: the interpreter that is obviously right, the
// decision diagram that is fast, the BPF program that walks it in the kernel, and the analysis of
// whom a rule affects. A packet that cannot be described exactly by these words, such as a
// fragment, is not in the space at all: it is left to iptables.
package header
