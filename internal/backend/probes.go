// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"net/http"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Probes knows how the agent's own probes go. Its methods are called concurrently.
type Probes interface {
	// AllProbes has those of everybody.
	AllProbes() api.Probes
	// ProbesOf has those of one tenant, and nothing that it could learn of others from.
	ProbesOf(tenant string) api.Probes
}

// probes answers how the probes go, of a tenant or of all.
func (q *request) probes() {
	var out api.Probes
	switch of := q.server.probes; {
	case of == nil:
	case q.tenantID != "":
		out = of.ProbesOf(q.tenantID)
	default:
		out = of.AllProbes()
	}
	out.Probes, out.Unresolved = notNil(out.Probes), notNil(out.Unresolved)
	writeJSON(q.w, http.StatusOK, out)
}
