// SPDX-License-Identifier: Apache-2.0

// Package traces has pings take the fast path on a real kernel, and looks at their traces. It has
// only tests.
package traces
