// SPDX-License-Identifier: Apache-2.0

// Package traps has hosts that are set up in ways that a fast path is caught by: what it has learnt of
// some packets of a flow is not right for the next, or the way that it knows is not the one that the kernel
// takes. Each was found by trying to break it, and each test fails without the guard against it.
package traps
