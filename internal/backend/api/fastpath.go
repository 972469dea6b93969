// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// FastPathPath returns the path of a tenant's fast path: how it is, by GET. The ID must be a valid
// one.
//
// What is answered are the types of package fastpath/accelerator.
func FastPathPath(id string) string { return TenantPath(id) + "/fastpath" }

// The paths below FastPathPath.
const (
	// FastPathFlowsPath has the flows by GET, and forgets them by DELETE.
	FastPathFlowsPath = "/flows"
	// FastPathWhyPath says by GET why packets of a flow are slow.
	FastPathWhyPath = "/why"
)

// MaxWatch is for how long packets of a flow may be counted by one request.
const MaxWatch = 30 * time.Second

// FastPathFlushed says what was forgotten.
type FastPathFlushed struct {
	// Flows is how many there were, each direction counted by itself.
	Flows int `json:"flows"`
}
