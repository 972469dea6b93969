// SPDX-License-Identifier: Apache-2.0

// Package event is what breaks no rule.
package event
