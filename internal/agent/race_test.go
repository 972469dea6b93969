// SPDX-License-Identifier: Apache-2.0

//go:build race

package agent_test

// floodSenders is how many processes flood: with the race detector the agent takes ten times
// as long for an event, and needs a CPU for that.
const floodSenders = 1
