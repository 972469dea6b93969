// SPDX-License-Identifier: Apache-2.0

// Package agenttest stands beside what it helps to test, and need not be in the map.
package agenttest
