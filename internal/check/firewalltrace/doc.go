// SPDX-License-Identifier: Apache-2.0

// Package firewalltrace has pings dropped by rules of a tenant in each of the places where a rule
// can be, and looks at what a Collector gets of them. It has only tests.
package firewalltrace
