// SPDX-License-Identifier: Apache-2.0

// Package lab traces.
package lab

import _ "github.com/dwelltrace/dwell/bpf"
