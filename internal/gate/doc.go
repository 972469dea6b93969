// SPDX-License-Identifier: Apache-2.0

// Package gate decides which pings of a flood are traced.
//
// A flood of pings writes events faster than traces can be made of them. What is then to be
// left out must be decided before it costs anything, by whole pings, and so that who sends
// little loses nothing to who floods. Whose packets they are is not known where packets are
// seen; but each sender puts an identifier into its echoes. So the kernel side has a gate for
// each identifier (bpf/c/gate.h), with a [Level], and the [Controller] sets the levels by what
// the gates let through: max-min fair. That is, if the limit is divided evenly among those who
// want more than their part, whoever wants less gets all of it.
//
// A ping that was on its way when a level changed is seen in part. The [History] knows which
// these are.
//
// The package does not know the kernel: it computes with what it is given.
package gate
