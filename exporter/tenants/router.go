// SPDX-License-Identifier: Apache-2.0

// Package tenants hands each tenant what it may see of each trace.
package tenants

import (
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Sink takes what one tenant may see.
type Sink interface {
	// Take is given views of finished traces, all of the same tenant. It must not change them,
	// may keep them, and must not wait for anything.
	Take(tenant string, views []*trace.Trace)
}
