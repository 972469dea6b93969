// SPDX-License-Identifier: Apache-2.0

// Package roads tests the traces of pings on every kind of road that Linux has: taps,
// stacked devices, tunnels, redirects, copies, packets that die or are not answered.
//
// A road is one entry of a table: how it is built out of network namespaces, which pings
// are sent along it, and what is right. The judge works from the outside: it reads the
// OTLP file that the agent writes and shares no code with the correlator. Roads that need
// a kernel module that is missing are said to be absent. What became of each road is held
// against testdata/KERNEL.json, from which docs/roads.md is made.
//
// Everything is built through netlink and BPF system calls, so that a compiled test binary
// runs on a machine that has nothing else.
package roads

//go:generate go run ./roadsdoc -page ../../../docs/roads.md -results testdata
