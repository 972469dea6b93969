// SPDX-License-Identifier: Apache-2.0

// Package bpf is what breaks no rule.
package bpf
