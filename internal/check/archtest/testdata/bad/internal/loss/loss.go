// SPDX-License-Identifier: Apache-2.0

// Package loss asks where it should be asked.
package loss

import _ "github.com/dwelltrace/dwell/correlate/event"
