// SPDX-License-Identifier: Apache-2.0

// Package diagram compiles rules into a decision diagram: nodes of one cache line each, which
// lead a packet to its verdict and to all rules that it matches in a number of steps that
// depends on what the rules look at, and hardly on how many they are.
//
// The BPF program of package datapath walks the same nodes. What cannot be said exactly
// is deferred, and what becomes too large is refused: iptables is still there for both.
package diagram
