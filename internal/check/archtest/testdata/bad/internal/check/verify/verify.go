// SPDX-License-Identifier: Apache-2.0

// Package verify checks the study, which breaks no rule.
package verify

import (
	_ "github.com/dwelltrace/dwell/internal/check/probe"
	_ "github.com/dwelltrace/dwell/internal/study/bench"
)
