// SPDX-License-Identifier: Apache-2.0

//go:build !race

package agent_test

// floodSenders is how many processes flood: more than most machines that run tests have CPUs.
const floodSenders = 3
