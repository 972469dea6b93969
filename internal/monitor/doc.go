// SPDX-License-Identifier: Apache-2.0

// Package monitor is what dwell monitor shows: a live, full-screen view of one tenant's
// pings, or of all of them for the operator.
//
// It has three parts that know little of each other. A [Feed] reads the agent's stream, again
// and again if the agent goes away, and hands on what came in batches. The data are what
// the batches add up to, in bounded memory whatever the rate. The model is a
// function from messages (batches, keys, sizes, the time) to a picture, so that the tests need
// no terminal and no clock.
package monitor
