// SPDX-License-Identifier: Apache-2.0

// Package frame makes frames of Ethernet for tests of the fast path: right ones, and ones that are
// wrong in a way that was asked for. It also says what a frame is, and whether its checksums are
// right.
//
// A library for packets would mend what is wrong, or refuse to write it down.
package frame
