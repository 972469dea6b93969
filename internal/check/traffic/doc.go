// SPDX-License-Identifier: Apache-2.0

// Package traffic sends packets through networks of namespaces and takes the time: pings and floods
// of frames as they are, requests and streams over TCP. It is what the programs that measure dwell
// have in common.
//
// The kernel forwards a packet of a veth pair before it returns from sending it. So the time of a
// system call is that of the packet's whole way, and needs no clock in the kernel.
package traffic
