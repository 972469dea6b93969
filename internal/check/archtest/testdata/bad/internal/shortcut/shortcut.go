// SPDX-License-Identifier: Apache-2.0

// Package shortcut joins both sides.
package shortcut

import (
	_ "github.com/dwelltrace/dwell/bpf"
	_ "github.com/dwelltrace/dwell/exporter"
)
