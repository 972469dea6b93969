// SPDX-License-Identifier: Apache-2.0

// Package fastpath traces.
package fastpath

import _ "github.com/dwelltrace/dwell/bpf"
