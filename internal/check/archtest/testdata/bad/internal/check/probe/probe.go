// SPDX-License-Identifier: Apache-2.0

// Package probe is what breaks no rule.
package probe
