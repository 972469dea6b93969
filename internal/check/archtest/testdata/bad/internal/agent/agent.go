// SPDX-License-Identifier: Apache-2.0

// Package agent may see all that runs in production, and nothing else.
package agent

import (
	_ "github.com/dwelltrace/dwell/internal/check/probe"
	_ "github.com/dwelltrace/dwell/internal/study/lab"
)
