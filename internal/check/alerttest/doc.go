// SPDX-License-Identifier: Apache-2.0

// Package alerttest tests the alerts and the dashboard in examples/ with the programs
// that they are for: promtool, amtool, and a chain of agent, Collector, Prometheus and
// Alertmanager in network namespaces of its own.
//
// An alert that nobody has seen fire is a guess: of a label that is named differently
// on the way, or of a threshold that is never reached. So the shipped rules themselves
// are run, at a faster pace (see [Shorten]), and a hypervisor is made slow.
package alerttest
