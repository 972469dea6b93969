// SPDX-License-Identifier: Apache-2.0

// Package tenant asks who traces where it should only say who owns.
package tenant

import _ "github.com/dwelltrace/dwell/correlate/event"
