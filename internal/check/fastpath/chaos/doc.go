// SPDX-License-Identifier: Apache-2.0

// Package main, the command chaos, changes a hypervisor at random while traffic of all kinds runs through the
// fast path, and looks for packets that the state of the hypervisor at that moment does not explain.
//
// What comes out at the NIC and at the guests is captured with the kernel's time. Some things must never be
// seen: a private source outside, a wrong time to live, Ethernet addresses of somebody else. What a change
// forbids must not be seen from 10 ms after the change on if the kernel tells of it, and one lease after it if
// not. So that a busy machine does not fail, the time for which the agent's own process was seen not to
// run is not counted. Meanwhile TCP connections must go on: none is reset, and connection tracking calls no
// packet invalid. A packet that took the kernel's own way must be as the fast path had foretold, unless a route was being
// replaced at that moment.
//
// The agent is a process of its own, which is stopped, killed and started again.
//
//	go run ./internal/check/fastpath/chaos --duration 1h
//	go run ./internal/check/fastpath/chaos --duration 1h --ip 6
//
// or dwell agent itself, with tracing, while a guest pings:
//
//	go run ./internal/check/fastpath/chaos --duration 1h --agent bin/dwell
package main
