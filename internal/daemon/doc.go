// SPDX-License-Identifier: Apache-2.0

// Package daemon runs the agent for months: dwell agent.
//
// It is the place where configuration, agent, sinks, metrics, HTTP and the service manager
// meet, and nothing else is in it. The agent keeps its one loop, which is never stopped
// for a change: what can be swapped while traces go through it stands behind something
// that does not change, a swappable exporter for each destination and telemetry for what counts.
//
// A reload has two halves. First everything that may fail is prepared next to what runs;
// if anything does fail, it is discarded, and the old configuration stays. Then all of it
// is put in place.
package daemon
