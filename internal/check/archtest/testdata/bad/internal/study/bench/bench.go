// SPDX-License-Identifier: Apache-2.0

// Package bench is what breaks no rule.
package bench
